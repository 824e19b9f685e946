"""Files that describe something - dataset.json, manifest.json, config.json, model.json, run.json - read strictly.

Such a file is the JSON of a dataclass. The dataclass says what may be in it: its annotations the types, `settings.
setting` and `settings.recorded` the bounds. Whatever else is there is refused in one line with the file, the field, its
value and the way out; neither the length of a file nor its depth costs memory or time first.
"""

import collections
import dataclasses
import functools
import json
import math
import reprlib
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from yolo import settings, storage
from yolo.names import find_problem

T = TypeVar('T')
MOST_BYTES = 32 << 20  # the manifest of 99,999 shards, as many as their names can number, has less than half of that
MOST_DEPTH = 32  # of lists and objects within each other, in the parts whose fields are not declared
MOST_DIGITS = 100  # of one number; reading millions of them takes for ever
MOST_INTEGER = 2**63 - 1
WHAT = {str: 'a text', int: 'a whole number', float: 'a finite number', bool: 'true or false'}

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxstring, _short.maxlong, _short.maxother = 2, 3, 3, 60, 40, 60


def read(path: str, cls: type[T], what: str, advice: str, check: Callable[[T], None] | None = None) -> T:
    """The dataclass whose JSON is in a file; fields that the file lacks take their defaults.

    what: the file in words, 'a manifest'; advice: the way out if it is damaged; check: raises ValueError where fields
    do not fit each other. ValueError, in one line with path, field, value and advice, for anything but such a file.
    """
    try:
        value = build(cls, parse(_read_bytes(path)))
        if check:
            check(value)
    except ValueError as error:
        reason = ' '.join(str(error).split())
        raise ValueError(f'{path}: not {what} that this version reads ({reason}); {advice}') from error
    return value


def _read_bytes(path: str) -> bytes:
    if not storage.is_file(path):
        raise ValueError('it is not a regular file')
    length = storage.size(path)
    if length > MOST_BYTES:
        raise ValueError(f'it has {length:,} bytes, more than {MOST_BYTES:,}')
    return storage.read(path)


def parse(data: bytes) -> Any:
    """The value of a JSON text in UTF-8; ValueError also for a name that stands twice in one object, and for depth."""
    hooks: dict[str, Any] = {'object_pairs_hook': _object, 'parse_int': _integer, 'parse_float': _real}
    try:
        return json.loads(data.decode('utf-8-sig'), **hooks)
    except RecursionError:
        raise ValueError('its lists and objects are nested too deeply') from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        twice = collections.Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f'the name {_short.repr(twice)} stands twice in one object')
    return names


def _integer(text: str) -> int:
    return int(_number(text))


def _real(text: str) -> float:
    return float(_number(text))


def _number(text: str) -> str:
    if len(text) > MOST_DIGITS:
        raise ValueError(f'a number has {len(text):,} digits')
    return text


def build(cls: type[T], value: Any) -> T:
    """The dataclass from what its JSON holds (`dataclasses.asdict`); missing fields take their defaults.

    ValueError, with the place, for a name that is no field, a missing field without default, another type, a number
    that is not finite, and a value out of the field's bounds.
    """
    return _build(cls, value, '')


def check_names(names: Iterable[str], place: str) -> None:
    """ValueError, with the place, for names of classes or splits that are empty, of control characters, or twice."""
    seen = set()
    for name in names:
        if problem := find_problem(name):
            raise ValueError(f'{place} has {_short.repr(name)}, which is not a name: {problem}')
        if name in seen:
            raise ValueError(f'{place} has {_short.repr(name)} twice')
        seen.add(name)


def _build(kind: Any, value: Any, place: str) -> Any:
    """A value of a type that a field is annotated with; place: of the value in the file, '' for all of it."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _build_fields(kind, value, place)
    if origin in (types.UnionType, typing.Union):  # X | None
        return None if value is None else _build(parts[0], value, place)
    if origin in (tuple, list):
        return _build_items(origin, parts, value, place)
    if origin in (dict, collections.Counter):
        return _build_names(origin, parts, value, place)
    if kind in (Any, dict):
        if kind is dict:
            _expect(value, dict, 'an object', place)
        _check_free(value, place)
        return value
    return _build_scalar(kind, value, place)


def _build_fields(cls: Any, value: Any, place: str) -> Any:
    _expect(value, dict, 'an object', place)
    fields, kinds = _fields(cls)
    unknown = [name for name in value if name not in fields]
    if unknown:
        raise ValueError(f'{_inside(place, unknown[0])}: no such field in this version')
    missing = [name for name, field in fields.items() if name not in value and not _has_default(field)]
    if missing:
        raise ValueError(f'{_inside(place, missing[0])} is missing')
    built = {}
    for name, given in value.items():
        field, inside = fields[name], _inside(place, name)
        about = settings.of(field) if field.metadata else settings.Setting()
        is_unset = given is None and field.default is None and not about.required
        built[name] = None if is_unset else _build(kinds[name], given, inside)
        problem = settings.find_problem(about, built[name])
        if problem:
            raise ValueError(f'{inside} is {_short.repr(given)}: {problem}')
    return cls(**built)


@functools.cache
def _fields(cls: type) -> tuple[dict[str, dataclasses.Field], dict[str, Any]]:
    """The fields of a dataclass and their types, by name."""
    return {field.name: field for field in dataclasses.fields(cls)}, typing.get_type_hints(cls)


def _has_default(field: dataclasses.Field) -> bool:
    if field.metadata and settings.of(field).required:
        return False
    return dataclasses.MISSING is not field.default or dataclasses.MISSING is not field.default_factory


def _build_items(origin: Any, parts: tuple, value: Any, place: str) -> Any:
    _expect(value, list, 'a list', place)
    if origin is list or parts[1:] == (...,):
        parts = parts[:1] * len(value)
    if len(value) != len(parts):
        raise ValueError(f'{place} has {len(value)} values, not {len(parts)}')
    return origin(
        _build(kind, item, f'{place}[{number}]') for number, (kind, item) in enumerate(zip(parts, value, strict=True))
    )


def _build_names(origin: Any, parts: tuple, value: Any, place: str) -> Any:
    """A dict, or the Counter of names or, as JSON has only names, of whole numbers."""
    _expect(value, dict, 'an object', place)
    if origin is dict:
        return {name: _build(parts[1], item, _inside(place, name)) for name, item in value.items()}
    counts: collections.Counter = collections.Counter()
    for name, item in value.items():
        inside = _inside(place, name)
        count = _build(int, item, inside)
        if count < 0 or (parts[0] is int and not (name.isascii() and name.isdigit())):
            raise ValueError(f'{inside} is {_short.repr(item)}: not a count')
        counts[_integer(name) if parts[0] is int else name] = count
    return counts


def _build_scalar(kind: type, value: Any, place: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    _expect(value, kind, WHAT[kind], place)
    _check_scalar(value, place)
    return value


def _check_scalar(value: Any, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f'{place} is {value}, not a finite number')
    elif isinstance(value, int) and abs(value) > MOST_INTEGER:
        raise ValueError(f'{place} is {_short.repr(value)}, a number of more than 64 bits')


def _check_free(value: Any, place: str) -> None:
    """Checks the numbers and the depth of a part whose fields are not declared."""
    rest = [(value, 0)]
    while rest:
        part, depth = rest.pop()
        if isinstance(part, dict | list):
            if depth == MOST_DEPTH:
                raise ValueError(f'the lists and objects in {place} are nested too deeply')
            rest += [(item, depth + 1) for item in (part.values() if isinstance(part, dict) else part)]
        else:
            _check_scalar(part, place)


def _expect(value: Any, kind: type, what: str, place: str) -> None:
    if type(value) is not kind:
        raise ValueError(f'{place or "all of it"} is {_short.repr(value)}, not {what}')


def _inside(place: str, name: str) -> str:
    shown = name if len(name) <= 60 and name.isprintable() else _short.repr(name)
    return f'{place}.{shown}' if place else shown
