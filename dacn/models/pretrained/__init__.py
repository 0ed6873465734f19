"""Backbones that others made: networks of timm, of torchvision and of the user's own, and the weights they start from.

May import `nn`, `config`, `errors`, `named_function` and `user_path`.
"""
