"""Schrödinger bridges: diffusions that join two or more laws."""

from scorefold.bridges._base import Bridge, brownian_reference

__all__ = ["Bridge", "brownian_reference"]
