"""Settings: types and bounds, differences."""

import dataclasses

import pytest

from yolo import settings
from yolo.settings import recorded, setting


@dataclasses.dataclass(frozen=True)
class Example:
    count: int = setting(3, 'How many.', low=1, high=9)
    rate: float = setting(0.5, 'How fast.', low=0, may_change=True)
    kind: str = setting('a', 'Which.', choices=('a', 'b'))
    span: tuple[float, float] = setting((1.0, 2.0), 'From, to.', count=2, ascending=True)
    steps: tuple[int, ...] | None = setting(None, 'When.', low=0, unset='never')
    lowest: float = setting(0.5, 'Score.', low=0, high=1, words=('best',))
    frozen: int = setting(0, 'Layers.', given_as=str)
    sizes: tuple[tuple[int, int], ...] = recorded(((32, 32),))

    def __post_init__(self):
        settings.check(self)


def fields():
    return {field.name: field for field in dataclasses.fields(Example)}


def test_flag_types_are_those_of_the_fields():
    kinds = {name: settings.flag_type(Example, field) for name, field in fields().items() if name != 'sizes'}
    assert kinds == {
        'count': int,
        'rate': float,
        'kind': str,
        'span': (tuple, float),
        'steps': (tuple, int),
        'lowest': float,
        'frozen': str,
    }
    assert not settings.of(fields()['sizes']).flag


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('count', 0, 'count=0: must be 1 or more'),
        ('count', 10, 'count=10: must be 9 or less'),
        ('rate', float('nan'), 'rate=nan: not a finite number'),
        ('kind', 'c', "kind='c': not one of a, b"),
        ('span', (1.0,), r'span=\(1.0,\): 2 numbers'),
        ('span', (2.0, 1.0), r'span=\(2.0, 1.0\): the smaller'),
        ('lowest', 2.0, 'lowest=2.0: must be 1 or less'),
        ('lowest', 'worst', "lowest='worst': not a number"),
        ('steps', (1, -1), r'steps=\(1, -1\): must be 0 or more'),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(name, value, message):
    with pytest.raises(ValueError, match=message):
        Example(**{name: value})


def test_unset_and_resolved_values_are_within_bounds():
    made = Example(steps=None, sizes=((96, 64), (32, 32), (64, 64)))
    assert made.steps is None
    assert len(made.sizes) == 3


def test_a_number_may_be_a_word_that_is_named():
    assert Example(lowest='best').lowest == 'best'
    assert Example(lowest=1).lowest == 1


def test_differences_name_both_values():
    before, now = Example(), Example(count=4, rate=0.25, steps=(7,))
    assert settings.may_change(Example) == {'rate'}
    assert settings.differences(before, now, settings.may_change(Example)) == [
        'count: 3 there, 4 now',
        'steps: None there, (7,) now',
    ]
    assert settings.differences(now, now) == []
