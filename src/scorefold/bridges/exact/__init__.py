"""Schrödinger bridges in closed form, or exact to rounding on finitely many states."""
