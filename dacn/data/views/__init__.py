"""From stored images to the weak and strong views of a training batch.

May import `data.read` and the modules of `data` itself.
"""
