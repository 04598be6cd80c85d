"""Runs of the command line and of Python."""
