"""Which method for a pair: short runs of a few of them, ranked by scores that need no target label.

May import `compare` and what lies below it.
"""
