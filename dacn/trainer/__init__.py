"""One training loop for every algorithm, and what it stands on."""
