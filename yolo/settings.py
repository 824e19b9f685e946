"""Settings: fields of frozen dataclasses, each with its default, type, bounds and help in one place.

    @dataclasses.dataclass(frozen=True)
    class TrainConfig:
        batch_size: int = setting(64, 'Images a step, over all replicas.', low=1)

Everything else about a setting follows from its field: the flag (`yolo.cli.flags`), `--print_config`, the JSON in a
run's folder, and the differences that a refusal names. The type of the flag is the field's annotation: str, int, float,
bool, or a tuple of numbers or texts, which a flag gives as a comma list.
"""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

T = TypeVar('T')
_KEY = 'setting'


@dataclasses.dataclass(frozen=True)
class Setting:
    """What describes a setting, apart from its name, type and default.

    help: for the flag; group: its heading in --help; low, high: inclusive bounds; choices: the only values, if any;
    count: how many numbers a tuple has; ascending: they must not decrease; required: a command cannot run without it;
    unset: what None stands for, in words; shown: the default as --help has it, where it differs from the value;
    given_as: the type of the flag where it is not that of the field; may_change: a run may be continued with another
    value; flag: whether it has a flag.
    """

    help: str = ''
    group: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
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
    """ValueError, with name, value and bounds, for the first setting of a dataclass that is out of its bounds."""
    for field in dataclasses.fields(values):
        problem = find_problem(of(field), getattr(values, field.name))
        if problem:
            raise ValueError(f'{field.name}={getattr(values, field.name)!r}: {problem}')


def find_problem(about: Setting, value: Any) -> str:
    """Why a value is not allowed for a setting, '' if it is; None and () mean `unset` and are allowed."""
    if value in (None, ()):
        return ''
    if about.choices and value not in about.choices:
        return f'not one of {", ".join(about.choices)}'
    numbers = value if isinstance(value, tuple) else (value,)
    if numbers and isinstance(numbers[0], tuple):  # resolved already; the bounds are for the value as given
        return ''
    if about.count is not None and isinstance(value, tuple) and len(value) != about.count:
        return f'{about.count} numbers are needed, separated by a comma'
    if about.ascending and list(numbers) != sorted(numbers):
        return 'the smaller number comes first'
    for number in numbers:
        if isinstance(number, int | float) and not isinstance(number, bool):
            if about.low is not None and not number >= about.low:
                return f'must be {about.low:g} or more'
            if about.high is not None and not number <= about.high:
                return f'must be {about.high:g} or less'
    return ''


def from_json(cls: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass from the JSON of its `dataclasses.asdict`; missing settings take their defaults.

    ValueError for a name that is not a setting, and for a missing one that has no default.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f'{", ".join(unknown)}: no such setting in this version')
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in values]
    if missing:
        raise ValueError(f'{", ".join(missing)}: missing')
    return cls(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(part) for part in value) if isinstance(value, list) else value


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
