"""The words of verdicts that several measures share."""

FRESH = "consistent with fresh data"
COPIES = "copies training points"
UNTOLD = "too few points to tell"
