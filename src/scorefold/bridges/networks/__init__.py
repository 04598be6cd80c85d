"""Bridges learned with networks, in half-steps of alternating direction."""
