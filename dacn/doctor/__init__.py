"""Checks of a recipe before it is trained: a few steps that leave nothing behind show what would spoil the run.

May import `run` and what lies below it.
"""
