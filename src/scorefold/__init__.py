"""scorefold."""
