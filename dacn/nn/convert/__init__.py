"""Conversion of existing networks: norm layers replaced, the context handed through, one context folded in.

May import torch, the rest of `nn` and `errors`.
"""
