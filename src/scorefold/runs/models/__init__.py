"""Models fitted to one table: which there are, what is measured and drawn of each."""
