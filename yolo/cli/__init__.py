"""Commands: flags to library calls."""
