"""Reference processes: their transitions, and their paths pinned at the ends."""
