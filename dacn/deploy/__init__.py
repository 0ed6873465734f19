"""A trained network in use: loading it, predicting with it, exporting it.

May import `run` and what lies below it.
"""
