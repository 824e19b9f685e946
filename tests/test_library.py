"""The library as its documentation shows it: the example in yolo's docstring, and what is exported."""

import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from conftest import DATA, ROOT, make_image

import yolo
from yolo.data import images


def example() -> str:
    """The indented code of yolo's docstring."""
    lines = yolo.__doc__.splitlines()
    return textwrap.dedent('\n'.join(line for line in lines if line.startswith('    ') or not line))


@pytest.mark.slow
def test_the_example_of_the_docstring_runs_as_it_stands(tmp_path):
    """In a process of its own, where nothing but the example has imported anything."""
    shutil.copytree(DATA / 'version_0_1' / 'run', tmp_path / 'runs' / 'voc')
    (tmp_path / 'photo.jpg').write_bytes(images.encode_png(make_image(np.random.default_rng(1), 90, 3)[0]))
    code = example().replace('score_threshold=0.3)\nresult', 'score_threshold=0.01)\nresult')  # it is hardly trained
    assert '0.01' in code
    checks = """
        assert len(result.boxes) > 0 and result.boxes.max() > 1
        assert raw.shape == (2, 13, 13, 5, 25)
        assert np.isfinite(loss)
        assert responsible.shape == (2, 1, 3)
        assert anchors == ((1.3, 1.7), (3.2, 4.0), (5.1, 8.1), (9.5, 4.8), (11.2, 10.0))
        np.testing.assert_array_equal(model(images), raw)
    """
    (tmp_path / 'example.py').write_text(code + textwrap.dedent(checks))
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, 'example.py']
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ' pixels' in done.stdout
    assert "('circle', 'ring', 'square', 'star', 'triangle') (2, 2) (64, 64)" in done.stdout


def test_what_is_exported_is_there():
    assert yolo.__all__ == sorted(yolo.__all__)
    for name in yolo.__all__:
        assert callable(getattr(yolo, name)), name
        assert name in dir(yolo)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        yolo.nothing  # noqa: B018


def test_importing_the_models_is_enough_for_keras():
    importlib.import_module('yolo.models')
    for name in ('DarknetModel', 'BatchNorm', 'MaxPool2D', 'PadLowest', 'Reorg', 'SplitAnchors'):
        assert keras.saving.get_registered_object(f'yolo>{name}'), name


def test_types_are_marked_as_such():
    assert (pathlib.Path(yolo.__file__).parent / 'py.typed').exists()
