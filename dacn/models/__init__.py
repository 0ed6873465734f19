"""Backbones, and the networks built from them with the recipe's norm layers.

May import `nn`, `config` and `errors`.
"""
