"""What columns mean: names, units, codes, coordinates; and what is wrong with them."""
