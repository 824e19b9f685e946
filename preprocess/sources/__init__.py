"""Where annotations and images come from."""
