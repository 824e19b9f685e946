"""From detections to average precision, and what keeps it from being higher."""
