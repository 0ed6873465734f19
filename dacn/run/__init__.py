"""A run: everything between a recipe and a finished run folder.

May import `recipe`, `trainer` and what lies below them.
"""
