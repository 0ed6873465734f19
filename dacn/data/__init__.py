"""Domains, pairs of them, and the sub-folders that read, prepare, combine, inspect and augment their images.

May import `models`, `losses`, `batch`, `nn`, `config`, `errors`; knows no algorithm and no training.
"""
