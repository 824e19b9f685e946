"""Boxes, letterboxes, and which cell and anchor is responsible for an object."""
