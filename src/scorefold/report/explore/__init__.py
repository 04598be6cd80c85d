"""Pages to explore: what can be turned, zoomed and read off, as data for the script of a page."""
