"""Flows from data to a reference law: their descriptions, and the model that comes out."""
