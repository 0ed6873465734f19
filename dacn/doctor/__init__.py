"""A preflight: looks for what would spoil a run before it is trained, in a few steps that leave nothing behind."""
