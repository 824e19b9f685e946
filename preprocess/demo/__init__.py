"""A small dataset to try everything on."""
