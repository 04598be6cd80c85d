"""Kernels on manifolds: families, mixtures, their heat flow, and bounds on what sums leave out."""
