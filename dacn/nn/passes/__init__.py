"""The passes over whole activations that normalization by context makes, in C and in torch."""
