"""What the machine can do to a run: memory, faults of disks, files written whole."""
