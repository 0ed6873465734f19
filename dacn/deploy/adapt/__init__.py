"""A trained network meets a domain that it never saw, without the data that it was trained on.

May import what `deploy` may; a method a file.
"""
