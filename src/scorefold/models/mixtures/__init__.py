"""Mixtures of parametric laws: one family of laws a file."""
