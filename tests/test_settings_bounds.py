"""Every setting of every command: numbers that make no sense are refused by name before anything is read or built."""

import dataclasses

import pytest
from test_commands import COMMANDS, call, command_of  # noqa: F401

from preprocess import anchors
from preprocess.settings import Settings
from yolo import settings
from yolo.cli import flags
from yolo.data import image_settings
from yolo.data.voc_folder import Source
from yolo.training.config import TrainConfig

NOT_FINITE = ('nan', 'inf', '-inf', '1e400')
NO_NUMBERS = ('', 'x', 'True', '1_0', '１２', '0x10', '10**30', '9' * 5000)


def numeric_flags() -> dict[str, tuple[type, dataclasses.Field, type, bool]]:
    """By `command --flag`: its dataclass, field, int or float, and whether it takes a list of them."""
    found = {}
    for name in COMMANDS:
        for cls in command_of(name).settings:
            for field in settings.with_flags(cls):
                kind = settings.flag_type(cls, field)
                item = kind[1] if isinstance(kind, tuple) else kind
                if item in (int, float):
                    found[f'{name} --{field.name}'] = cls, field, item, isinstance(kind, tuple)
    return found


NUMERIC = numeric_flags()


def refusal(cls: type, text: str) -> str:
    """What the command line says to a flag with this text; '' if it takes it."""
    try:
        flags.define((cls,))(['command', text])
    except flags.flags.Error as error:
        return str(error)
    return ''


def bounds(field: dataclasses.Field) -> tuple[tuple[float, bool], tuple[float, bool]]:
    """Lowest and highest value of a setting, and of each whether it may be taken itself."""
    about = settings.of(field)
    lowest = [(value, own) for value, own in ((about.low, True), (about.above, False)) if value is not None]
    highest = [(value, own) for value, own in ((about.high, True), (about.below, False)) if value is not None]
    assert len(lowest) == len(highest) == 1, (
        f'{field.name}: give the field a lowest and a highest value, low= (or above=, which is no value itself) and '
        'high= (or below=)'
    )
    return lowest[0], highest[0]


def as_text(field: dataclasses.Field, value, is_list: bool) -> str:
    """A flag with a number, in all places of a list."""
    return f'--{field.name}=' + ','.join([str(value)] * (settings.of(field).count or 1 if is_list else 1))


def test_there_are_numbers_in_every_command_but_those_without():
    assert {name.split()[0] for name in NUMERIC} == set(COMMANDS)
    assert len(NUMERIC) > 50


@pytest.mark.parametrize('name', NUMERIC)
def test_a_number_has_a_lowest_and_a_highest_value_that_hold(name):
    cls, field, item, is_list = NUMERIC[name]
    (low, takes_low), (high, takes_high) = bounds(field)
    assert low < high
    step = 1 if item is int else 1e-3 * (high - low)
    assert (isinstance(low, int) and isinstance(high, int)) or item is float
    for value, allowed in ((low - step, False), (low, takes_low), (high, takes_high), (high + step, False)):
        said = refusal(cls, as_text(field, value, is_list))
        assert (said == '') == allowed, (value, said)
        assert allowed or (f'--{field.name}=' in said and 'must be' in said)


@pytest.mark.parametrize('name', NUMERIC)
def test_numbers_that_are_not_finite_and_texts_that_are_none_are_refused(name):
    cls, field, item, is_list = NUMERIC[name]
    for text in (*NOT_FINITE, *NO_NUMBERS, '1e300', str(10**30), str(-(10**30))):
        said = refusal(cls, as_text(field, text, is_list))
        if text == '' and is_list and field.default in (None, ()):
            continue  # an empty list is one
        assert f'--{field.name}=' in said, text
        assert len(said.replace(text, '')) < 300, text
    if item is float:
        assert 'not a finite number' in refusal(cls, as_text(field, 'nan', is_list))


@pytest.mark.parametrize(
    ('name', 'flag', 'message'),
    [
        ('train', '--ema=nan', 'not a finite number'),
        ('train', '--ema=1', 'must be less than 1'),
        ('train', '--mosaic=nan', 'not a finite number'),
        ('train', '--max_hours=nan', 'not a finite number'),
        ('train', '--plateau_factor=nan', 'not a finite number'),
        ('train', '--exposure=inf', 'not a finite number'),
        ('train', '--epochs=inf', 'not a finite number'),
        ('train', '--epochs=0', 'must be more than 0'),
        ('train', '--learning_rate=1e300', 'must be 1,000 or less'),
        ('train', '--width=1e6', 'must be 100 or less'),
        ('train', '--batch_size=100000', 'must be 65,536 or less'),
        ('train', '--cpu_devices=1000000', 'must be 64 or less'),
        ('train', '--scale=', 'a number is needed'),
        ('train', '--seed=4294967296', 'must be 4,294,967,295 or less'),
        ('eval', '--score_threshold=nan', 'not a finite number'),
        ('eval', '--match_iou=0', 'must be more than 0'),
        ('eval', '--image_size=320000', 'must be 16,384 or less'),
        ('eval', '--max_detections=1000000000', 'must be 10,000 or less'),
        ('predict', '--score_threshold=nan', 'not a finite number'),
        ('predict', '--max_detections=1000000000', 'must be 10,000 or less'),
        ('verify', '--workers=1000000', 'must be 1,024 or less'),
    ],
)
def test_a_command_says_so_in_one_line(call, name, flag, message):  # noqa: F811
    status, text = call(name, flag)
    assert status == 1
    assert f'{flag}: {message}' in text
    assert text.count('\n') == 1


@pytest.mark.parametrize('text', ['320000', '32x320000', '0', '-32', '100', '1_024', '３２', '32x', 'x32', '9' * 5000])
def test_image_sizes_of_preprocessing_are_bounded(text):
    with pytest.raises(ValueError, match='--image_size=') as raised:
        image_settings.parse_image_size(text)
    assert len(str(raised.value)) < 200
    assert image_settings.parse_image_size('16384') == (16384, 16384)


@pytest.mark.parametrize(
    'text', ['kmeans:101', 'kmeans:１', 'kmeans:' + '9' * 5000, 'nan,1', 'inf,1', '1e300,1', '1,' * 201 + '1']
)
def test_anchors_are_bounded(text):
    with pytest.raises(ValueError, match='--anchors=') as raised:
        anchors.make_anchors(text, anchors.np.ones((4, 2)), (13, 13))
    assert len(str(raised.value)) < 250


NAN = float('nan')


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('ema', NAN, 'ema=nan: not a finite number'),
        ('batch_size', True, 'batch_size=True: not a number'),
        ('batch_size', 4.0, 'batch_size=4.0: not a whole number'),
        ('batch_size', '4', "batch_size='4': not a number"),
        ('batch_size', None, 'batch_size=None: a number is needed'),
        ('learning_rate', '0.1', "learning_rate='0.1': not a number"),
        ('scale', 1.0, 'scale=1.0: 2 numbers are needed'),
        ('scale', (), r'scale=\(\): a number is needed'),
        ('scale', (NAN, 1.0), r'scale=\(nan, 1.0\): not a finite number'),
        ('anchors', ((1.0, NAN),), 'anchors=.*: not a finite number'),
        ('sizes', ((32, 32.5),), 'sizes=.*: not a whole number'),
    ],
)
def test_the_library_refuses_them_too(name, value, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**{name: value})


def test_the_settings_of_a_conversion_are_checked():
    with pytest.raises(ValueError, match='jpeg_quality=101: must be 100 or less'):
        Settings(Source('a', 'b'), {}, 'out', jpeg_quality=101)
