"""The usual thresholds of detection, for the library and for the commands, whose help starts without TensorFlow."""

# For evaluation, as in Darknet's.
SCORE_THRESHOLD, IOU_THRESHOLD, MAX_DETECTIONS = 0.005, 0.45, 500
# For photos that a person looks at.
PHOTO_SCORE_THRESHOLD, PHOTO_MAX_DETECTIONS = 0.25, 100
