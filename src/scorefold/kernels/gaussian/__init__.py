"""Gaussian kernels on R^d: the calculus of their mixtures, and networks for their shapes."""
