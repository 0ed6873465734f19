"""The data sets and pairs that have a name, and how each is built from its files."""
