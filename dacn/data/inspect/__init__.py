"""What `dacn data check` and the doctor say of a pair before anything is trained on it."""
