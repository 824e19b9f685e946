"""What OpenCV 5 computes from ONNX files, in an environment of its own: it needs NumPy and OpenCV alone.

  .venv-opencv5/bin/python tests/yolo/backends/opencv5_check.py FOLDER

FOLDER has NAME.onnx files, each with NAME.npz: images (B, H, W, 3) uint8, and each output's expected numbers by its
name. Status 1 if there are none, or any differs by more than 1e-5 of its largest value.
"""

import pathlib
import sys

import cv2
import numpy as np


def check(path: pathlib.Path) -> None:
    """AssertionError if the outputs of an ONNX file are not those that stand beside it."""
    expected = dict(np.load(path.with_suffix('.npz')))
    images = expected.pop('images')
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(images.astype(np.float32).transpose(0, 3, 1, 2) / 255)
    for name, value in zip(expected, network.forward(list(expected)), strict=True):
        assert value.shape == expected[name].shape, f'{path} {name}: {value.shape}, not {expected[name].shape}'
        error = np.abs(value - expected[name]).max() / np.abs(expected[name]).max()
        assert error <= 1e-5, f'{path} {name}: {error:.1e} of the largest value'
        print(f'OpenCV {cv2.__version__}, {path.name}, {name}: {error:.1e} of the largest value')


if __name__ == '__main__':
    paths = sorted(pathlib.Path(sys.argv[1]).glob('*.onnx'))
    assert paths, f'no ONNX file in {sys.argv[1]}'
    assert cv2.__version__.startswith('5.'), f'OpenCV {cv2.__version__}'
    for path in paths:
        check(path)
