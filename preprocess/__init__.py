"""The offline stage: VOC XML and images -> TFRecords that training and evaluation read."""
