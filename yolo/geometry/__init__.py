"""Box conversions, resizing with a letterbox, and which cell and anchor is responsible for an object."""
