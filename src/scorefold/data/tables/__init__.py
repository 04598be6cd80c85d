"""Bytes to tables: where they come from, what kind they are, and a reader for each kind.

``readers.read_table`` is the door. What is read is written by others: nothing is allocated,
unpacked or executed because a file says so.
"""
