"""The data sets and pairs that recipes can name, and how each is built from its files.

May import `data.read` and `data.classes`.
"""
