"""Comparisons: one recipe over values of its keys and over seeds, a grid of runs that can be stopped and resumed.

May import `report`, `run` and what lies below them.
"""
