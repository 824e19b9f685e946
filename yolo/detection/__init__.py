"""From a network's raw output to detections."""
