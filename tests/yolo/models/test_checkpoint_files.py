"""Checkpoints are found by reading them; damage is named, and only what a killed save left is removed."""

import logging
import os
import pathlib
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from conftest import DATA, digests
from test_commands import command_of

from yolo.cli import flags
from yolo.models import checkpoint_files, model_folder

RUN = DATA / 'version_0_1' / 'run'
CASES = int(os.environ.get('CHECKPOINT_CASES', '300'))  # more by hand


@pytest.fixture
def run(tmp_path) -> pathlib.Path:
    """A run with the checkpoints 2 and 4, and the best of step 6."""
    shutil.copytree(RUN, tmp_path / 'run')
    for part in ('index', 'data-00000-of-00001'):
        shutil.copy(RUN / f'checkpoints/ckpt-4.{part}', tmp_path / f'run/checkpoints/ckpt-2.{part}')
    checkpoint_files.write_hint(f'{tmp_path}/run/checkpoints', tuple(f'ckpt-{step}' for step in (2, 4)))
    return tmp_path / 'run'


def values(path: str) -> dict[str, bytes]:
    reader = tf.train.load_checkpoint(path)
    names = reader.get_variable_to_shape_map()
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Flipped bits, a cut, a hole, bytes put in or taken out, or other bytes altogether."""
    changed, kind, at = bytearray(data), rng.integers(6), int(rng.integers(len(data)))
    if kind == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            changed[place] ^= 1 << rng.integers(8)
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        changed[at : at + 4096] = bytes(len(changed[at : at + 4096]))
    elif kind == 3:
        changed[at:at] = rng.bytes(rng.integers(1, 64))
    elif kind == 4:
        del changed[at : at + rng.integers(1, 64)]
    else:
        changed = bytearray(rng.bytes(rng.integers(2000)))
    return bytes(changed)


def test_every_damaged_file_is_noticed(run):
    """Seeded: whatever is done to the index or the data, reading it says so, or gives the same values."""
    rng, path = np.random.default_rng(0), f'{run}/checkpoints/ckpt-4'
    files = [pathlib.Path(f'{path}.{part}') for part in ('index', 'data-00000-of-00001')]
    whole, before = values(path), [file.read_bytes() for file in files]
    found = []
    for number in range(CASES):
        which = number % 2
        files[which].write_bytes(mutate(before[which], rng))
        damage = checkpoint_files.find_damage(path)
        assert damage is not None
        assert '\n' not in damage
        if damage:
            found.append(damage)
        else:
            assert values(path) == whole  # zeros over zeros
        files[which].write_bytes(before[which])
    assert len(found) > 0.9 * CASES


HINTS = {
    'another number': b'model_checkpoint_path: "ckpt-7"\nall_model_checkpoint_paths: "ckpt-7"\n',
    'another path': b'model_checkpoint_path: "/nowhere/ckpt-1"\nall_model_checkpoint_paths: "/nowhere/ckpt-1"\n',
    'not text': b'\xff\xfe\x00',
    'not its format': b'{"a": 1}',
    'empty': b'',
    'lost': None,
}


@pytest.mark.parametrize('hint', HINTS.values(), ids=HINTS)
def test_the_file_checkpoint_is_only_a_hint(run, hint):
    path = run / 'checkpoints/checkpoint'
    path.unlink() if hint is None else path.write_bytes(hint)
    before = digests(run)
    assert model_folder.find_checkpoint(str(run), 'latest') == f'{run}/checkpoints/ckpt-4'
    model_folder.load_trained(str(run), 'latest')
    assert digests(run) == before  # reading writes nothing
    found = checkpoint_files.read(f'{run}/checkpoints')
    assert found.whole == tuple(f'{run}/checkpoints/ckpt-{step}' for step in (2, 4))
    assert not checkpoint_files.remove_leftovers(f'{run}/checkpoints', found)
    checkpoint_files.write_hint(f'{run}/checkpoints', found.whole)
    assert tf.train.latest_checkpoint(f'{run}/checkpoints') == f'{run}/checkpoints/ckpt-4'
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(), f'{run}/checkpoints', 3)
    assert manager.checkpoints == list(found.whole)


def test_the_model_is_saved_beside_a_damaged_hint(run):
    model = model_folder.load_trained(str(run))[0]
    for hint in (b'', b'\xff'):
        (run / 'best/checkpoint').write_bytes(hint)
        model_folder.save_whole(f'{run}/best', model, 8)
        assert checkpoint_files.list_names(f'{run}/best') == checkpoint_files.Names((8,))
        assert checkpoint_files.read_hint(f'{run}/best') == [f'{run}/best/ckpt-8']


def test_only_what_a_killed_save_left_is_removed(run):
    folder = run / 'checkpoints'
    left = {'ckpt-5_temp', f'checkpoint.tmp{"0a" * 16}', 'ckpt-5.index', 'ckpt-6.data-00000-of-00001'}
    for name in left:
        (folder / name).mkdir() if name.endswith('_temp') else (folder / name).write_bytes(b'half')
    for name in ('ckpt-8.index', 'ckpt-8.data-00000-of-00001', 'ckpt-notes', 'checkpoint.old'):
        (folder / name).write_bytes(b'')  # a damaged checkpoint, and none of its business
    (folder / 'ckpt-9.index').mkdir()
    before = {path.name for path in folder.iterdir()}
    found = checkpoint_files.read(str(folder))
    assert found.damaged.keys() == {f'{folder}/ckpt-8'}
    assert set(checkpoint_files.remove_leftovers(str(folder), found)) == left
    assert {path.name for path in folder.iterdir()} == before - left


def test_data_that_lost_all_indexes_are_kept(run):
    folder = run / 'checkpoints'
    for path in folder.glob('*.index'):
        path.unlink()
    before = digests(folder)
    assert not checkpoint_files.remove_leftovers(str(folder), checkpoint_files.read(str(folder)))
    assert digests(folder) == before
    (folder / 'checkpoint').unlink()
    before.pop('checkpoint')
    assert not checkpoint_files.remove_leftovers(str(folder), checkpoint_files.read(str(folder)))
    assert digests(folder) == before


def test_a_run_that_saves_and_removes_meanwhile_is_read(run, monkeypatch):
    """With --keep=1 each checkpoint that was listed may be gone when it is opened."""
    find_damage, folder = checkpoint_files.find_damage, run / 'checkpoints'

    def run_goes_on(path):
        step = int(path.rpartition('-')[2])
        if step < 9:
            for part in ('index', 'data-00000-of-00001'):
                (folder / f'ckpt-{step}.{part}').rename(folder / f'ckpt-{step + 5}.{part}')
        return find_damage(path)

    monkeypatch.setattr(checkpoint_files, 'find_damage', run_goes_on)
    assert checkpoint_files.read(str(folder), newest_only=True).newest == f'{folder}/ckpt-9'
    restore, gone = model_folder._restore, []

    def removed_before(model, path, network):
        if not gone:
            gone.append(path)
            run_goes_on(path.replace('ckpt-9', 'ckpt-7'))
            for part in ('index', 'data-00000-of-00001'):
                pathlib.Path(f'{path}.{part}').unlink()
        return restore(model, path, network)

    monkeypatch.setattr(model_folder, '_restore', removed_before)
    assert model_folder.load_trained(str(run), 'latest')[2] == f'{folder}/ckpt-12'


@pytest.mark.slow
def test_a_best_that_is_replaced_again_and_again_can_be_loaded_meanwhile(run):
    """A run that keeps one checkpoint; whichever is the newest whole one at that moment is read."""
    model = model_folder.load_trained(str(run))[0]

    def save_often():
        for number in range(7, 37):
            model_folder.save_whole(f'{run}/best', model, number)

    thread, loaded = threading.Thread(target=save_often), []
    thread.start()
    while thread.is_alive():
        loaded.append(model_folder.load_trained(str(run), 'best')[2])
    thread.join()
    assert len(set(loaded)) >= 3
    assert model_folder.find_checkpoint(str(run)) == f'{run}/best/ckpt-36'


def cut(path: str) -> None:
    index = pathlib.Path(f'{path}.index')
    index.write_bytes(index.read_bytes()[:-9])


def test_a_damaged_best_is_passed_over_for_the_latest(run, caplog):
    best, latest = f'{run}/best/ckpt-6', f'{run}/checkpoints/ckpt-4'
    assert model_folder.find_checkpoint(str(run)) == best
    cut(best)
    with caplog.at_level(logging.WARNING, 'absl'):
        assert model_folder.load_trained(str(run))[2] == latest
    assert f'damaged: {best} (' in caplog.text
    assert f'{latest} is used instead' in caplog.text
    with pytest.raises(ValueError, match=r'best/ckpt-6 \(.*\); try --checkpoint=latest'):
        model_folder.find_checkpoint(str(run), 'best')
    cut(latest)
    assert model_folder.find_checkpoint(str(run), 'latest') == f'{run}/checkpoints/ckpt-2'
    with pytest.raises(ValueError, match=r'ckpt-4 is damaged \(.*\); give another one'):
        model_folder.find_checkpoint(str(run), latest)
    cut(f'{run}/checkpoints/ckpt-2')
    with pytest.raises(ValueError, match=r'best or latest checkpoint is whole: .*best/ckpt-6.*ckpt-2.*ckpt-4'):
        model_folder.find_checkpoint(str(run))


def one_line(capfd, name: str, *words: str) -> str:
    """The last line of a command that fails; eval, predict and convert print no other."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as ended:
        flags.run(command_of(name), [name, *words])
    out, err = capfd.readouterr()
    assert (ended.value.code, out) == (1, ''), out + err
    assert 'Traceback' not in err
    assert name == 'train' or err.count('\n') == 1, err
    return err.splitlines()[-1]


NETWORKS = {
    'other filters': ('filters=16', 'filters=8'),
    'more layers': ('[region]', '[convolutional]\nfilters=20\nsize=1\nactivation=linear\n[region]'),
}


@pytest.mark.parametrize('damage', ['index', 'data-00000-of-00001', *NETWORKS])
def test_damage_is_one_line_in_every_command(run, tmp_path, capfd, damage):
    data_dir = f'--data_dir={RUN.parent}/records'
    if damage in NETWORKS:
        network = run / 'network.cfg'
        assert NETWORKS[damage][0] in network.read_text()
        network.write_text(network.read_text().replace(*NETWORKS[damage], 1))
        message = f'does not fit {network}: its weights are those of another network'
    else:
        for path in run.glob(f'*/ckpt-*.{damage}'):
            path.write_bytes(path.read_bytes()[:-9])
        message = 'no best or latest checkpoint is whole: '
    model_dir, report = f'--model_dir={run}', f'--report_dir={tmp_path}/report'
    assert message in one_line(capfd, 'eval', data_dir, '--split=test', model_dir, report)
    images = str(DATA.parent.parent / 'docs/records.jpg')
    assert message in one_line(capfd, 'predict', model_dir, f'--images={images}', f'--out_dir={tmp_path}/out')
    assert message in one_line(capfd, 'convert', model_dir, f'--keras_out={tmp_path}/x.keras')
    train = (data_dir, '--train_split=trainval', f'--model={DATA}/two_convolutions.cfg', '--num_steps=1')
    assert message in one_line(capfd, 'train', *train, f'--model_dir={tmp_path}/new', f'--init_weights={run}')
    assert not (tmp_path / 'new').exists()  # a start that fails leaves nothing
    if damage not in NETWORKS:
        path = f'{run}/best/ckpt-6'
        words = (*train, f'--model_dir={tmp_path}/new', f'--init_weights={path}')
        assert f'{path} is damaged (' in one_line(capfd, 'train', *words)
        pathlib.Path(f'{path}.index').unlink()
        assert f'{path}: no checkpoint is there' in one_line(capfd, 'train', *words)
