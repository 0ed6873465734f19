"""The recipe: the tree that composes all configs, its YAML, its error messages.

May import `trainer`, `evaluation`, `algorithms`, `data`, `models` for their configs.
"""
