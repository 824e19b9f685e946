"""Bounds of the boxes that a network predicts."""

MOST_EXPONENT = 16.0  # sizes are at most e^16 anchors, so that boxes stay finite when a training diverges
