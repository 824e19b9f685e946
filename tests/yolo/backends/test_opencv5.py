"""ONNX files in OpenCV 5, which is in an environment of its own: `make tests-opencv5`."""

import pathlib
import subprocess

import numpy as np
import pytest
import random_networks
from conftest import ROOT

from yolo.detection import exported, host
from yolo.export import draft
from yolo.models.folding import fold
from yolo.models.model_folder import ModelInfo

onnx_file = pytest.importorskip('yolo.export.onnx_file', reason='the extra [export] is not installed')

PYTHON = ROOT / '.venv-opencv5/bin/python'


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason='OpenCV 5 has an environment of its own: make tests-opencv5')
def test_opencv_5_computes_what_was_exported(tmp_path):
    images = random_networks.images(random_networks.SIZE, 2)
    for name in ('yolov2', 'yolov2-tiny'):
        model = random_networks.randomized(name)
        raw = model(images).numpy()
        grid = np.moveaxis(raw, (3, 4), (1, 2)).reshape(len(raw), -1, *raw.shape[1:3])
        boxes, scores = host.decode(raw, random_networks.ANCHORS)
        for output, expected in (('raw', {'grid': grid}), ('boxes', {'boxes': boxes, 'scores': scores})):
            for batch_size in (None, 2):
                options = draft.Options(output, random_networks.SIZE, batch_size)
                about = draft.make(fold(model), ModelInfo((), 'stretch'), exported.ONNX, options)
                data, _ = onnx_file.build(draft.at_size(fold(model), random_networks.SIZE), about)
                path = tmp_path / f'{name}-{output}-{batch_size}.onnx'
                path.write_bytes(data)
                np.savez(path.with_suffix('.npz'), images=images, **expected)
    script = pathlib.Path(__file__).with_name('opencv5_check.py')
    done = subprocess.run([PYTHON, script, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('of the largest value') == 2 * (1 + 2) * 2
