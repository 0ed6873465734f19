"""Evaluation: accuracy by context, scores that need no target labels, figures.

May import `data`, `models` and what lies below them, but no algorithm and no data set by name.
"""
