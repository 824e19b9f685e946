"""A run of version 0.1 is continued and gives the outputs that version 0.1 had.

The fixture's run was stopped at step 4 of 6. expected.npz holds the raw outputs of version 0.1 on the first two images
of the split `test`: those of step 4, and those of step 6 after version 0.1 had gone on.
"""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA, SMALL

from yolo.data import pipeline
from yolo.models import model_folder
from yolo.training import distribution, loop, state
from yolo.training.config import TrainConfig
from yolo.training.config_file import read_config

OLD = DATA / 'version_0_1'
RECORDS = str(OLD / 'records')
EXPECTED = np.load(OLD / 'expected.npz')


@pytest.fixture
def run_folder(tmp_path) -> pathlib.Path:
    """A copy of the old run, without its best model, which is of step 6 already."""
    folder = tmp_path / 'run'
    shutil.copytree(OLD / 'run', folder, ignore=shutil.ignore_patterns('best'))
    return folder


def read_old_config(folder: pathlib.Path) -> TrainConfig:
    return dataclasses.replace(read_config(str(folder)), data_dir=RECORDS, model_dir=str(folder), model=SMALL)


def edit_config(folder: pathlib.Path, **changes) -> None:
    """Changes fields of config.json; None removes one."""
    path = folder / 'config.json'
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))


def raw_outputs(folder: pathlib.Path) -> np.ndarray:
    """What the newest checkpoint computes from the first two test images: (2, GH, GW, A, 5 + C)."""
    model = model_folder.load_trained(str(folder), 'latest')[0]
    batch = next(iter(pipeline.evaluation_batches(RECORDS, 'test', 2)))
    return model(tf.cast(batch['image'], tf.float32) / 255, training=False).numpy()


@pytest.mark.slow
def test_a_run_of_version_0_1_is_continued(run_folder):
    np.testing.assert_allclose(raw_outputs(run_folder), EXPECTED['raw_step_4'], atol=1e-4, rtol=0)
    edit_config(run_folder, model=SMALL)  # its path depends on the folder in which tests run
    result = loop.train(read_old_config(run_folder), distribution.make_strategy('one_device', ['CPU:0']))
    assert (result.reason, result.step) == ('finished', 6)
    np.testing.assert_allclose(raw_outputs(run_folder), EXPECTED['raw_step_6'], atol=1e-4, rtol=0)
    changed = np.abs(EXPECTED['raw_step_6'] - EXPECTED['raw_step_4']).max()
    assert changed > 20 * 1e-4  # or else the comparison would show nothing
    best = json.loads((OLD / 'run/best/metrics.json').read_text())
    assert result.metrics['map_area'] == pytest.approx(best['map_area'], abs=1e-3)


def test_its_checkpoint_has_every_key_and_no_other(run_folder):
    """Keys of version 0.1, read from its file, against what a state of today saves."""

    def top_level(names) -> set[str]:
        return {name.split('/')[0] for name in names} - {'_CHECKPOINTABLE_OBJECT_GRAPH', 'save_counter'}

    old = tf.train.load_checkpoint(str(run_folder / 'checkpoints/ckpt-4')).get_variable_to_shape_map()
    assert top_level(old) == {*state.CHECKPOINT_KEYS, state.TRAINED_KEY}
    now = state.make_state(read_old_config(run_folder), distribution.make_strategy('one_device', ['CPU:0']))
    path = now.checkpoint().write(str(run_folder / 'now'))
    saved = tf.train.load_checkpoint(path).get_variable_to_shape_map()
    without_counter = {name: shape for name, shape in old.items() if not name.startswith('save_counter')}
    assert {name: shape for name, shape in saved.items() if not name.startswith('save_counter')} == without_counter


def test_settings_that_an_old_run_lacks_take_their_defaults(run_folder):
    lacking = (
        'ema',
        'flip',
        'sampling',
        'class_weights',
        'mosaic',
        'plateau',
        'steps_per_loop',
        'deterministic',
        'resize',
    )
    edit_config(run_folder, **dict.fromkeys(lacking))
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    config = read_config(str(run_folder))
    assert {name: getattr(config, name) for name in lacking} == {name: defaults[name] for name in lacking}
    assert config.learning_rate == 0.001  # what is there is read
    edit_config(run_folder, no_such_setting=1)
    with pytest.raises(ValueError, match='no_such_setting'):
        read_config(str(run_folder))
