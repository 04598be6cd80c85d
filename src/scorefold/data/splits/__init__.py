"""How rows are split, and what a split data set is."""
