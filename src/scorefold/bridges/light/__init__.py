"""Bridges by one learned potential, in closed form at every time."""
