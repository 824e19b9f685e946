"""From the network's raw output to detections, and detectors of photos."""
