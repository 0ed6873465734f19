"""Readers of images: folders, NumPy archives, torchvision and Python, kept in memory or decoded while training.

May import the modules of `data` itself, such as `dacn.data.domain`.
"""
