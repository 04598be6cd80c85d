"""Bridges and splines through the snapshots of more than two times."""
