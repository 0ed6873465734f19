"""Gaussian mixtures over activations: EM, posteriors, and the moments weighted by them.

May import torch, scikit-learn for EM, and the rest of `nn`.
"""
