"""Covariances learned from neighbourhoods, judged by points that had no part in them."""
