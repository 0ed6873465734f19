"""Which class an image is of: names, maps between names, and the classes that two domains share."""
