"""Damaged .cfg, .weights, .keras files and checkpoints, each read by the code that reads it in a run."""

import functools
import pathlib
import re
import zipfile
import zlib

import numpy as np
import tensorflow as tf
from case import Case, SilentError
from fixture import SMALL
from mutations import ODD_TEXTS, choose, damage, replace_by_something_else

from yolo.models import cfg, model_folder, spec, weights
from yolo.models.build import DarknetModel

RARE = 0.03  # share of the cases in which the file is no file, and in which a whole command is run
MOST_LAYERS, MOST_WEIGHTS = 20, 1_000_000  # of a network that is built here
CFGS = (SMALL, *sorted((SMALL.parent / 'darknet').glob('*.cfg')))


def cfg_file(case: Case) -> None:
    """A damaged .cfg: read, written again, read again, and, if it is small, built."""
    path = case.folder / 'a.cfg'
    path.write_bytes(_damage_cfg(case.rng, choose(case.rng, CFGS).read_bytes()))
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    if case.rng.random() < RARE:
        case.call('train', '--print_config', f'--model={path}')
        case.call('convert', f'--cfg={path}', f'--weights={path}', f'--keras_out={case.folder}/a.keras')
    network = cfg.read(str(path))
    written = cfg.write(network)
    again = cfg.parse(written)
    if again != network or again.box_convention != network.box_convention:
        raise AssertionError(f'another network is read back: {written}')
    is_small = len(network.sections) <= MOST_LAYERS and sum(spec.num_weights(network)) <= MOST_WEIGHTS
    if is_small and case.rng.random() < 0.3:
        DarknetModel(network)


def _damage_cfg(rng: np.random.Generator, data: bytes) -> bytes:
    if rng.random() < 0.2:
        return damage(rng, data)
    lines = data.decode().splitlines()
    for _ in range(int(rng.integers(1, 4))):
        line = int(rng.integers(len(lines)))
        name = lines[line].partition('=')[0]
        match int(rng.integers(7)):
            case 0 | 1:
                lines[line] = f'{name}={choose(rng, ODD_TEXTS)}'
            case 2:
                lines[line] = f'{name}={int(10 ** rng.uniform(0, 12)) * int(rng.choice([1, 1, -1]))}'
            case 3:
                del lines[line]
            case 4:  # sections again and again
                lines[line:line] = lines[int(rng.integers(len(lines))) :] * int(2 ** rng.uniform(0, 9))
            case 5:
                lines[line] = choose(rng, ['[', ']', '[]', '[route]', '[reorg]', '[cost]', '=', '[net]', '[x]', '#'])
            case _:
                layers = ','.join(str(int(value)) for value in rng.integers(-30, 30, int(rng.integers(1, 5))))
                lines[line:line] = ['[route]', f'layers={layers}', '[reorg]', f'stride={int(rng.integers(0, 40))}']
        if not lines:
            return b''
    return '\n'.join(lines).encode(choose(rng, ['utf-8'] * 9 + ['utf-16']), 'surrogatepass')


@functools.cache
def _model(path: pathlib.Path) -> DarknetModel:
    """A network of which nothing is changed but weights."""
    return DarknetModel(cfg.read(str(path)))


def weights_file(case: Case) -> None:
    """A damaged .weights: read whole, or as far as it fits."""
    path = case.copy('m.weights')
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    else:
        case.replace(path, _damage_weights(case.rng, path.read_bytes()))
    model = _model(case.source / 'm.cfg')
    if case.rng.random() < RARE:
        case.call('convert', f'--cfg={case.source}/m.cfg', f'--weights={path}', f'--model_dir_out={case.folder}/b')
    elif case.rng.integers(2):
        model_folder.initialize(model, str(path))
    else:
        weights.read(model, str(path))
    model.check_finite()


def _damage_weights(rng: np.random.Generator, data: bytes) -> bytes:
    how = rng.random()
    if how < 0.3:
        return damage(rng, data)
    if how < 0.6:
        return damage(rng, data[:40]) + data[40:]
    if how < 0.8:
        values = np.frombuffer(data[20:], '<f4').copy()
        values[rng.integers(len(values), size=int(rng.integers(1, 9)))] = choose(rng, [np.nan, np.inf, 3e38, -3e38])
        return data[:20] + values.tobytes()
    return data[: int(rng.integers(len(data)))] if how < 0.9 else data + rng.bytes(int(2 ** rng.uniform(0, 16)))


def checkpoint(case: Case) -> None:
    """A damaged index, data or file `checkpoint`; silent: TensorFlow's checksum of what the model reads fails."""
    run = case.copy('run')
    paths = [path for path in sorted(run.glob('*/*')) if re.match(r'ckpt-.*\.(index|data)|checkpoint$', path.name)]
    path = choose(case.rng, paths)
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)
    elif path.name == 'checkpoint':
        case.replace(path, _damage_listing(case.rng, path.read_bytes()))
    else:
        case.replace(path, damage(case.rng, path.read_bytes()))
    if case.rng.random() < RARE:
        _call(case, run)
        return
    which = choose(case.rng, ['', '', 'best', 'latest', str(path.parent / path.name.split('.')[0])])
    if case.rng.random() < 0.2:
        model_folder.initialize(_model(case.source / 'm.cfg'), choose(case.rng, [str(run), which or str(run)]))
        return
    _, _, used = model_folder.load_trained(str(run), which)
    _check_whole(used)


def _damage_listing(rng: np.random.Generator, data: bytes) -> bytes:
    """The file `checkpoint`: other names, other paths, other text."""
    if rng.random() < 0.4:
        return damage(rng, data)
    names = ['ckpt-7', 'ckpt-2', '/nowhere/ckpt-4', '../best/ckpt-4', '', 'a\\nb', '\\377', 'ckpt-4.index', '.', '/']
    return re.sub(rb'"[^"]*"', b'"' + choose(rng, names).encode() + b'"', data, count=int(rng.integers(0, 3)))


def _call(case: Case, run: pathlib.Path) -> None:
    """A whole command on a damaged run."""
    data, name = case.source / 'records', choose(case.rng, ['eval', 'predict', 'convert', 'train'])
    words = {
        'eval': (f'--data_dir={data}', f'--report_dir={case.folder}/report'),
        'predict': (f'--images={case.source}/images', f'--out_dir={case.folder}/out'),
        'convert': (f'--keras_out={case.folder}/a.keras',),
        'train': (
            *(f'--data_dir={data}', f'--model={SMALL}', '--batch_size=2', '--nomulti_scale', '--nojit_compile'),
            *('--num_steps=4', '--checkpoint_every=2', '--eval_split=test', '--eval_every=2'),
        ),
    }[name]
    case.call(name, f'--model_dir={run}', *words)


def _check_whole(path: str) -> None:
    """SilentError if TensorFlow cannot read what a model needs of a checkpoint that was read without a word."""
    try:
        reader = tf.train.load_checkpoint(path)
        for name in reader.get_variable_to_shape_map():
            if name.startswith(('model/', 'seen/')):
                reader.get_tensor(name)
    except (tf.errors.OpError, IndexError, ValueError) as error:
        raise SilentError(f'{path} was read, but {error}') from error


def keras_file(case: Case) -> None:
    """A damaged .keras file; silent: a checksum of the zip fails."""
    path = case.copy('m.keras')
    how = case.rng.random()
    if how < RARE:
        replace_by_something_else(case.rng, path)
    elif how < 0.5:
        case.replace(path, damage(case.rng, path.read_bytes()))
    else:
        _damage_inside(case, path)
    model_folder.load_keras(str(path))
    try:
        with zipfile.ZipFile(path) as file:
            bad = file.testzip()
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise SilentError(f'read, but {error}') from error
    if bad:
        raise SilentError(f'read, but the checksum of {bad} fails')


def _damage_inside(case: Case, path: pathlib.Path) -> None:
    """One of the files in the zip is damaged, and its checksum good."""
    from mutations import damage_json

    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    name = choose(case.rng, sorted(parts))
    change = damage_json if name.endswith('.json') else damage
    parts[name] = change(case.rng, parts[name])
    path.unlink()
    with zipfile.ZipFile(path, 'w') as file:
        for part, data in parts.items():
            file.writestr(part, data)
