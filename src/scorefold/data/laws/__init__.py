"""Synthetic targets whose density is known exactly."""
