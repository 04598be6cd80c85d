"""Covariances learned from neighbourhoods, by the likelihood of held-out points."""
