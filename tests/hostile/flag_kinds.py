"""Odd values for every flag of every command, where nothing expensive can start."""

import numpy as np
from case import Case
from fixture import command_of
from mutations import ODD_NUMBERS, ODD_TEXTS, choose

from yolo import settings

# Flags that would load data from elsewhere, wait for other machines, or change this process for good.
LEFT_ALONE = {'tfds', 'tfds_data_dir', 'runner', 'beam_options', 'tpu', 'strategy', 'cpu_devices'}
# Paths are written to: odd ones stay within the case's folder, or are places where nobody can write.
PATHS = ('{folder}/new', '{folder}/é/ü', '{folder}/a b', '{folder}/file', '{folder}/file/x', '/dev/null/x', '/proc/x')
PATHS += ('{folder}/\n', '{folder}/\udcff', '{folder}/' + 'x' * 300, '', ' ', '{folder}', '{folder}/empty', '\0')
COMMANDS = ('preprocess', 'show', 'verify', 'shapes', 'train', 'eval', 'predict', 'convert')


def flag_values(case: Case) -> None:
    """A command with one to four odd flags, beside those that it needs, on folders that are not there."""
    name = choose(case.rng, COMMANDS)
    (case.folder / 'file').write_text('a file')
    (case.folder / 'empty').mkdir()
    words = _base(case, name)
    fields = [field for cls in command_of(name).settings for field in _fields(cls)]
    kinds = {field.name: kind for field, kind in fields}
    for _ in range(int(case.rng.integers(1, 5))):
        flag = choose(case.rng, sorted(kinds))
        words.append(_word(case, flag, kinds[flag]))
    if case.rng.random() < 0.1:
        words.insert(0, choose(case.rng, ['x', '-', '--', '-x', '--=', '--flagfile=', '--undefok=a', '--no', '=', '']))
    if case.rng.random() < 0.05:
        (case.folder / 'flags').write_text(f'--flagfile={case.folder}/flags\n{choose(case.rng, words)}')
        words.append(f'--flagfile={case.folder}/{choose(case.rng, ["flags", "file", "nothing", "empty"])}')
    case.call(name, *words)


def _fields(cls: type) -> list:
    return [(f, settings.flag_type(cls, f)) for f in settings.with_flags(cls) if f.name not in LEFT_ALONE]


def _base(case: Case, name: str) -> list[str]:
    """The flags that a command needs: its input is not there, but for some commands that are quick."""
    folder, source = case.folder, case.source
    no_model = [f'--model_dir={folder}/none']
    return {
        'preprocess': [f'--voc_dir={folder}/none', f'--out_dir={folder}/out', '--workers=1'],
        'show': [f'--data_dir={source}/records', f'--out={folder}/sheet.png'],
        'verify': [f'--data_dir={source}/records', '--workers=1'],
        'shapes': [f'--out_dir={folder}', '--num_train=1', '--num_test=1'],  # the folder is not empty
        'train': [f'--data_dir={folder}/none', f'--model_dir={folder}/run'],
        'eval': [
            *(f'--detections_dir={source}/devkit', f'--voc_dir={source}/VOC'),
            f'--report_dir={folder}/{choose(case.rng, ["report", "file"])}',
        ]
        if case.rng.integers(2)
        else [f'--data_dir={source}/records', *no_model],
        'predict': [f'--images={source}/images', f'--out_dir={folder}/out', *no_model],
        'convert': [*no_model, f'--keras_out={folder}/a.keras'],
    }[name] + (['--print_config'] if name == 'train' and case.rng.integers(2) else [])


def _word(case: Case, flag: str, kind: object) -> str:
    """`--flag=value`; a text is taken for a path, which all but a few flags of texts are."""
    if kind is bool:
        return f'--{flag}' if case.rng.random() < 0.8 else f'--{flag}={choose(case.rng, ODD_TEXTS)}'
    if flag == 'workers':
        return f'--workers={choose(case.rng, ["1", "0", "-1", "nan", "1.5"])}'  # many of them are expensive
    if kind is str and case.rng.random() < 0.7:
        return f'--{flag}=' + choose(case.rng, PATHS).replace('{folder}', str(case.folder))
    if flag.endswith(('out', 'dir', 'report', 'write_detections')):
        return f'--{flag}={case.folder}/' + choose(case.rng, ODD_TEXTS).replace('/', '').replace('..', '')
    return f'--{flag}={_odd_text(case.rng)}'


def _odd_text(rng: np.random.Generator) -> str:
    """A text, a number or a list of these."""
    if rng.random() < 0.4:
        return choose(rng, ODD_TEXTS)
    values = [choose(rng, ODD_NUMBERS) for _ in range(int(rng.choice([1, 1, 1, 2, 3])))]
    return ','.join(str(value) for value in values)
