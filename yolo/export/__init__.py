"""Trained models as files for other programs: SavedModel, ONNX, TFLite."""
