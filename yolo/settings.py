"""Settings: fields of frozen dataclasses, each with its default, type, bounds and help in one place.

    @dataclasses.dataclass(frozen=True)
    class TrainConfig:
        batch_size: int = setting(64, 'Images a step, over all replicas.', low=1, high=1 << 16)

Everything else about a setting follows from its field: the flag (`yolo.cli.flags`), `--print_config`, the JSON in a
run's folder, and the differences that a refusal names. The type of the flag is the field's annotation: str, int, float,
bool, or a tuple of numbers or texts, which a flag gives as a comma list. Every number has a lowest and a highest value:
`low` and `high`, or `above` and `below` where the bound itself makes no sense.
"""

import dataclasses
import functools
import math
import numbers
import typing
from collections.abc import Collection, Iterator
from typing import Any

_KEY = 'setting'
MOST_STEPS = 10**9  # of a run, and of everything that is counted in its steps
MOST_SEED = 2**32 - 1  # what NumPy's and Keras' generators take


@dataclasses.dataclass(frozen=True)
class Setting:
    """What describes a setting, apart from its name, type and default.

    help: for the flag; group: its heading in --help; low, high: lowest and highest value; above, below: bounds that are
    no values themselves, in place of these; choices: the only values, if any, of a tuple those of its items; words:
    texts that may stand in place of a number; count: how many numbers a tuple has; ascending: they must not decrease;
    required: a command cannot run without it; unset: what None stands for, in words; shown: the default as --help has
    it, where it differs from the value; given_as: the type of the flag where it is not that of the field; may_change: a
    run may be continued with another value; flag: whether it has a flag.
    """

    help: str = ''
    group: str = ''
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    count: int | None = None
    ascending: bool = False
    required: bool = False
    unset: str = ''
    shown: str = ''
    given_as: Any = None
    may_change: bool = False
    flag: bool = True


def setting(default: Any, help: str, **more: Any) -> Any:
    """A field that is a setting with a flag; `more`: as in Setting."""
    return dataclasses.field(default=default, metadata={_KEY: Setting(help, **more)})


def counted(default: Any, help: str, low: int = 0, **more: Any) -> Any:
    """A setting that counts steps, evaluations or files; `more`: as in Setting."""
    return setting(default, help, low=low, high=MOST_STEPS, **more)


def recorded(default: Any = dataclasses.MISSING, **more: Any) -> Any:
    """A field that is stored with the settings but follows from the data: it has no flag."""
    return dataclasses.field(default=default, metadata={_KEY: Setting(flag=False, **more)})


def of(field: dataclasses.Field) -> Setting:
    """The description of a field that `setting` or `recorded` made."""
    return field.metadata[_KEY]


def with_flags(cls: type) -> list[dataclasses.Field]:
    """The fields of a dataclass that have a flag."""
    return [field for field in dataclasses.fields(cls) if of(field).flag]


def flag_type(cls: type, field: dataclasses.Field) -> Any:
    """The type of a field's flag: str, int, float, bool, or (tuple, type of its items)."""
    kind = of(field).given_as or typing.get_type_hints(cls)[field.name]
    kind = next((each for each in typing.get_args(kind) if type(None) in typing.get_args(kind)), kind)  # X | None
    items = [each for each in typing.get_args(kind) if each is not Ellipsis]
    return (tuple, items[0]) if items else kind


def check(values: Any) -> None:
    """ValueError, with name, value and bounds, for the first setting of a dataclass that is not allowed."""
    for field in dataclasses.fields(values):
        about, value = of(field), getattr(values, field.name)
        kind = None if about.given_as is str else _item_type(type(values), field.name)  # type: ignore[arg-type]
        problem = find_problem(about, value, field.default, kind)
        if problem:
            raise ValueError(f'{field.name}={value!r}: {problem}')


@functools.cache
def _item_type(cls: type, name: str) -> Any:
    """The type of a field's values, or of what its tuples hold."""
    hints = [typing.get_type_hints(cls)[name]]
    while arguments := typing.get_args(hints[0]):
        hints = [each for each in arguments if each not in (Ellipsis, type(None))]
    return hints[0]


def find_problem(about: Setting, value: Any, default: Any = None, kind: Any = None) -> str:
    """Why a value is not allowed for a setting, '' if it is.

    default: of the setting; None and () mean `unset` and are allowed where the default is one of them. kind: the type
    of its values, or of what its tuples hold; int and float allow nothing but such numbers.
    """
    if value is None or value == ():
        return '' if kind not in (int, float) or default in (None, ()) else 'a number is needed'
    if isinstance(value, str) and value in about.words:
        return ''
    if about.choices and any(each not in about.choices for each in (value if isinstance(value, tuple) else (value,))):
        return f'not one of {", ".join(about.choices)}'
    for number in _leaves(value):
        problem = _find_number_problem(number, kind)
        if problem:
            return problem
    values = value if isinstance(value, tuple) else (value,)
    if isinstance(values[0], tuple):  # resolved already; the bounds are for the value as given
        return ''
    if about.count is not None and not (isinstance(value, tuple) and len(value) == about.count):
        return f'{about.count} numbers are needed, separated by a comma'
    if about.ascending and list(values) != sorted(values):
        return 'the smaller number comes first'
    return next(filter(None, (_find_bound(about, number) for number in values if _is_number(number))), '')


def _leaves(value: Any) -> Iterator[Any]:
    """The value itself, or all that a tuple of tuples holds."""
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _find_number_problem(value: Any, kind: Any) -> str:
    """Why a value is no number of a kind, int or float; of any kind a number has to be finite."""
    if kind in (int, float) and not _is_number(value):
        return 'not a number'
    if kind is int and not isinstance(value, numbers.Integral):
        return 'not a whole number'
    if _is_number(value) and not isinstance(value, numbers.Integral) and not math.isfinite(value):
        return 'not a finite number'
    return ''


def _find_bound(about: Setting, number: float) -> str:
    """The bound that a number breaks, in words."""
    if about.low is not None and not number >= about.low:
        return f'must be {format_number(about.low)} or more'
    if about.above is not None and not number > about.above:
        return f'must be more than {format_number(about.above)}'
    if about.high is not None and not number <= about.high:
        return f'must be {format_number(about.high)} or less'
    if about.below is not None and not number < about.below:
        return f'must be less than {format_number(about.below)}'
    return ''


def parse(text: str, kind: type) -> Any:
    """The str, int or float that a text means; ValueError for a number that is not in plain digits.

    Python itself takes more for a number: underscores, and the digits of other scripts.
    """
    if kind is str:
        return text
    try:
        if '_' in text or not text.isascii():
            raise ValueError
        return kind(text)
    except ValueError:
        shown = repr(text[:60]) + ('...' if len(text) > 60 else '')
        raise ValueError(f'{shown} is not a {"whole " if kind is int else ""}number') from None


def format_number(value: float) -> str:
    """A number as people write it: 65,536 and 0.5."""
    return f'{value:,}' if isinstance(value, int) else f'{value:g}'


def differences(before: Any, now: Any, ignored: Collection[str] = ()) -> list[str]:
    """`name: X there, Y now` for every setting in which two instances of a dataclass differ."""
    names = [field.name for field in dataclasses.fields(now) if field.name not in ignored]
    return [
        f'{name}: {getattr(before, name)} there, {getattr(now, name)} now'
        for name in names
        if getattr(before, name) != getattr(now, name)
    ]


def may_change(cls: type) -> set[str]:
    """The names of the settings that may differ when a run is continued."""
    return {field.name for field in dataclasses.fields(cls) if of(field).may_change}


def format_value(value: Any) -> str:
    """A value as text for a flag."""
    return ','.join(map(format_value, value)) if isinstance(value, tuple) else str(value)
