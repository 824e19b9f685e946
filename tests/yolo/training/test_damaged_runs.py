"""A damaged run is never begun anew unasked, whole checkpoints are not lost, what is not finite is not saved."""

import dataclasses
import json
import logging
import math
import pathlib
import shutil

import pytest
from conftest import DATA, digests
from training_runs import make_small_config, one_device

from yolo.models import checkpoint_files, model_folder
from yolo.training import loop, resume
from yolo.training.config import TrainConfig
from yolo.training.config_file import read_config


@pytest.fixture(scope='module')
def trained(records_dir, tmp_path_factory) -> pathlib.Path:
    """The folder of a finished run of 4 steps with --keep=2: checkpoints 2 and 4, and a best."""
    folder = tmp_path_factory.mktemp('trained') / 'run'
    config = make_small_config(
        records_dir, folder, num_steps=4, checkpoint_every=2, keep=2, eval_split='test', eval_every=2
    )
    loop.train(config, one_device())
    (folder / 'report').mkdir()
    (folder / 'report/page.html').write_text('of eval.py')
    return folder


@pytest.fixture
def run(trained, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(trained, tmp_path / 'run'))


def config_of(run: pathlib.Path, **changes) -> TrainConfig:
    return dataclasses.replace(read_config(str(run)), model_dir=str(run), **changes)


def damage(*paths: pathlib.Path) -> None:
    for path in paths:
        path.write_bytes(path.read_bytes()[:-9])


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('text', ['model_checkpoint_path: "ckpt-7"\n', 'model_checkpoint_path: "/no/ckpt-4"\n', ''])
def test_whole_checkpoints_that_the_file_checkpoint_does_not_name_are_used_and_kept(run, caplog, text):
    before = digests(run / 'checkpoints')
    (run / 'checkpoints/checkpoint').write_text(text)
    with caplog.at_level(logging.INFO, 'absl'):
        result = loop.train(config_of(run, keep=1), one_device())
    assert (result.reason, result.step) == ('finished', 4)
    assert f'finished already: {run}/checkpoints/ckpt-4' in caplog.text
    after = digests(run / 'checkpoints')
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {'checkpoint'}
    assert checkpoint_files.read_hint(f'{run}/checkpoints') == [f'{run}/checkpoints/ckpt-{number}' for number in (2, 4)]


@pytest.mark.slow
def test_a_whole_checkpoint_goes_only_when_newer_ones_are_there(run):
    """With --keep=1, checkpoint 2 stays until 4 is saved again; the damaged 4 until then too."""
    before = model_folder.checksum(f'{run}/checkpoints/ckpt-4')
    damage(run / 'checkpoints/ckpt-4.index')
    damaged = digests(run / 'checkpoints')
    config = config_of(run, keep=1)
    assert resume.prepare_folder(config, overwrite=False) == f'{run}/checkpoints/ckpt-2'
    assert digests(run / 'checkpoints').items() - damaged.items() == {
        ('checkpoint', digests(run / 'checkpoints')['checkpoint'])
    }
    loop.train(config, one_device())
    assert checkpoint_files.list_names(f'{run}/checkpoints') == checkpoint_files.Names((4,))
    assert model_folder.checksum(f'{run}/checkpoints/ckpt-4') == before


def all_indexes(run: pathlib.Path) -> None:
    damage(*run.glob('checkpoints/*.index'), run / 'checkpoints/checkpoint')


def all_indexes_with_lost_hint(run: pathlib.Path) -> None:
    damage(*run.glob('checkpoints/*.index'))
    (run / 'checkpoints/checkpoint').unlink()


def no_indexes(run: pathlib.Path) -> None:
    for path in (*run.glob('checkpoints/*.index'), run / 'checkpoints/checkpoint'):
        path.unlink()


def only_the_best(run: pathlib.Path) -> None:
    shutil.rmtree(run / 'checkpoints')
    (run / 'run.json').unlink()


def only_run_json(run: pathlib.Path) -> None:
    shutil.rmtree(run / 'checkpoints')
    shutil.rmtree(run / 'best')


def one_of_a_late_step(run: pathlib.Path) -> None:
    """Not of the first save, which was due at step 2 at the latest."""
    only_run_json(run)
    (run / 'run.json').unlink()
    (run / 'checkpoints').mkdir()
    (run / 'checkpoints/ckpt-4.data-00000-of-00001').write_bytes(b'data')


@pytest.mark.parametrize(
    ('lose', 'named'),
    [
        (all_indexes, 'ckpt-2 is damaged (file is too short'),
        (all_indexes_with_lost_hint, 'ckpt-4 is damaged (file is too short'),
        (no_indexes, 'ckpt-4.data-00000-of-00001 has no partner'),
        (only_the_best, 'best/ckpt-'),
        (only_run_json, 'run.json says that step 4 was reached'),
        (one_of_a_late_step, 'ckpt-4.data-00000-of-00001 has no partner'),
    ],
)
def test_a_run_without_a_whole_checkpoint_is_never_begun_anew_unasked(run, lose, named):
    lose(run)
    before, config = digests(run), config_of(run)
    with pytest.raises(ValueError, match='no newest checkpoint that reads whole') as caught:
        loop.train(config, one_device())
    message = str(caught.value)
    assert named in message.replace('not an sstable (bad magic number)', 'file is too short')
    assert 'use another --model_dir' in message
    assert '--overwrite' in message
    if (run / 'best').exists():
        assert f'with --init_weights={model_folder.find_checkpoint(str(run), "best")}' in message
    assert digests(run) == before
    assert resume.prepare_folder(config, overwrite=True) is None
    assert names(run) == sorted({'report', 'tensorboard'} | {path.name for path in run.iterdir() if path.is_dir()})
    assert not [path for folder in ('checkpoints', 'best', 'tensorboard') for path in run.glob(f'{folder}/*')]
    assert (run / 'report/page.html').exists()
    assert resume.prepare_folder(config, overwrite=False) is None  # it has not begun


@pytest.mark.slow
def test_overwrite_removes_a_run_with_other_settings_and_nothing_else(run):
    for name in ('checkpoints/mine.txt', 'tensorboard/mine.txt', 'mine.txt'):
        (run / name).write_text('mine')
    config = config_of(run, learning_rate=2e-3)
    before = digests(run)
    with pytest.raises(ValueError, match=r'learning_rate: 0.001 there, 0.002 now.*--overwrite'):
        resume.prepare_folder(config, overwrite=False)
    best = model_folder.find_checkpoint(str(run), 'best')
    for name, value in (('init_weights', best), ('init_weights', str(run)), ('model', f'{run}/network.cfg')):
        shutil.copy(config.model, run / 'network.cfg')
        before['network.cfg'] = digests(run)['network.cfg']
        with pytest.raises(ValueError, match=f'--{name}={value} is part of what --overwrite would remove'):
            resume.prepare_folder(dataclasses.replace(config, **{name: value}), overwrite=True)
    assert digests(run) == before
    assert loop.train(config, one_device(), overwrite=True).step == 4
    assert read_config(str(run)).learning_rate == 2e-3
    kept = {name for name, digest in digests(run).items() if before.get(name) == digest}
    assert kept >= {'report/page.html', 'checkpoints/mine.txt', 'tensorboard/mine.txt', 'mine.txt'}
    assert not [name for name in kept if 'ckpt-' in name or 'events' in name]


def test_overwrite_begins_a_run_that_could_go_on_anew(run, caplog):
    config = config_of(run)
    assert resume.prepare_folder(config, overwrite=True) is None
    assert 'the run in' in caplog.text
    assert not list(run.glob('checkpoints/ckpt-*'))
    caplog.clear()
    assert resume.prepare_folder(config, overwrite=True) is None
    assert caplog.text == ''  # nothing was there any more


def test_a_start_that_fails_leaves_no_folder(records_dir, tmp_path):
    config = make_small_config(records_dir, tmp_path / 'new', init_weights=str(tmp_path / 'nothing.weights'))
    with pytest.raises((ValueError, OSError), match=r'nothing\.weights'):
        loop.train(config, one_device())
    assert not (tmp_path / 'new').exists()
    (tmp_path / 'file').write_text('a file')
    with pytest.raises(ValueError, match=f'--model_dir={tmp_path}/file is a file; give'):
        loop.train(dataclasses.replace(config, model_dir=f'{tmp_path}/file'), one_device())


def test_a_description_alone_is_no_run(records_dir, tmp_path):
    """A start that was killed before its first checkpoint goes on without a flag, with other settings too."""
    shutil.copytree(DATA / 'version_0_1/run', tmp_path / 'run', ignore=shutil.ignore_patterns('best', 'checkpoints'))
    recorded = tmp_path / 'run/run.json'
    recorded.write_text(json.dumps(json.loads(recorded.read_text()) | {'step': None}))
    config = make_small_config(records_dir, tmp_path / 'run')
    assert resume.prepare_folder(config, overwrite=False) is None


@pytest.mark.slow
def test_what_is_not_finite_is_never_saved(records_dir, tmp_path, monkeypatch):
    config = make_small_config(records_dir, tmp_path, num_steps=2, ema=0.9, checkpoint_every=1, eval_split='test')
    make_steps, bad = loop.make_steps, {}

    def steps_with_a_bad_value(state, *args):
        steps = make_steps(state, *args)

        def taken(*args):
            metrics = steps(*args)
            variable = bad['pick'](state)
            variable.assign(variable * math.nan)
            return metrics

        return taken

    monkeypatch.setattr(loop, 'make_steps', steps_with_a_bad_value)
    for pick, named in (
        (lambda state: state.model.weights[0], 'conv_0/kernel are not finite'),
        (lambda state: state.averaged.weights[0], 'conv_0/kernel are not finite in their average'),
        (lambda state: state.optimizer.variables[-1], 'momentum are not finite'),
    ):
        bad['pick'] = pick
        with pytest.raises(FloatingPointError, match=f'after step 0 the weights .*{named}; the last .*none yet'):
            loop.train(config, one_device())
        assert not list(tmp_path.glob('*/ckpt*'))
    monkeypatch.undo()
    assert loop.train(config, one_device()).step == 2  # nothing had begun in this folder
