"""The classes of images: matching names, renaming classes, keeping those that two domains share.

May import `dacn.data.domain` and `errors`.
"""
