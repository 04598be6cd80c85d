"""Where data come from: the registry, downloads, and loading by name or path."""
