"""The passes over whole activations that normalization by context makes: in C, by torch's CPU kernels, in plain torch.

May import torch and `dacn.nn.processes`.
"""
