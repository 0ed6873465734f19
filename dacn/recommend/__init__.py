"""Which method for a pair: short runs of a few of them, ranked by scores that need no target label.

May import `compare`, `doctor` and what lies below them.
"""
