"""Honest evaluation: the context matrix, label-free validators, figures."""
