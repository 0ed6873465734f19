"""The fifteen corruptions of CIFAR-10-C, written anew on NumPy, SciPy and Pillow.

Imports nothing else of dacn.
"""
