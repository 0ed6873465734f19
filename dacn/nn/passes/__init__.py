"""The passes over whole activations that normalization by context makes: in C, by CPU kernels, in plain torch."""
