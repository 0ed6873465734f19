"""What `dacn data check` and the doctor report about a pair before it is trained on.

May import every other folder of `data`.
"""
