"""Data sets that must be built or sorted into folders before they can be read, one file a data set.

May import `data.known`, `data.read`, `data.corruption`.
"""
