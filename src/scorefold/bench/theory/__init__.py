"""The theorems of the papers as experiments: one file a theorem."""
