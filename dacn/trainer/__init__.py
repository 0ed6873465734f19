"""The one training loop for every algorithm, with its optimizer, schedule, checkpoints, logs and processes.

May import `evaluation` and what lies below it, but no algorithm and no data set by name.
"""
