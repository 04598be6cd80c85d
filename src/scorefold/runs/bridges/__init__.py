"""Bridges between tables: which there are, what is measured and drawn of each, and carrying."""
