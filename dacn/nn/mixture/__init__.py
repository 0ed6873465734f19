"""Gaussian mixtures over activations: EM, posteriors, and the moments that they weigh."""
