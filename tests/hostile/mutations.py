"""Damage: random changes of bytes, of JSON and of values, each a function of a random generator."""

import copy
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

# Texts that stand for a number, a name or a path somewhere and should not.
ODD_TEXTS = (
    '',
    ' ',
    '0',
    '-1',
    '1e400',
    'nan',
    'inf',
    '-inf',
    '1e9',
    '1' + '0' * 30,
    '1' * 5000,
    '0x10',
    '1_000',
    '٣',
    '1,2',
    'é',
    '日本語',
    '\U0001f600',
    'a b',
    '../x',
    '/',
    'a/b',
    'con',
    '\t',
    'a\nb',
    '%s%n',
    '{0}',
    '${HOME}',
    "'",
    '"',
    '<b>',
    '&amp;',
    'x' * 70_000,
)
ODD_NUMBERS = (
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    1e-320,
    1e300,
    2**31,
    2**63,
    2**64,
    -(2**63),
    10**30,
    math.nan,
    math.inf,
    -math.inf,
)


def choose(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    """One of some items; they keep their type."""
    return items[int(rng.integers(len(items)))]


def damage(rng: np.random.Generator, data: bytes, first: int = 0) -> bytes:
    """The bytes of a file with one to three changes at or behind the byte `first`."""
    for _ in range(int(rng.integers(1, 4))):
        data = _change(rng, data, min(first, max(len(data) - 1, 0)))
    return data


def _change(rng: np.random.Generator, data: bytes, first: int) -> bytes:
    if len(data) < 2:
        return data + b'\xff'
    start = int(rng.integers(first, len(data)))
    length = min(int(2 ** rng.uniform(0, 12)), len(data) - start)
    hole = data[start : start + length]
    match int(rng.integers(9)):
        case 0:  # a bit
            changed = bytes([hole[0] ^ 1 << int(rng.integers(8))])
            return data[:start] + changed + data[start + 1 :]
        case 1:  # a byte
            return data[:start] + bytes([int(rng.integers(256))]) + data[start + 1 :]
        case 2:
            return data[:start]
        case 3:
            return data[:start] + b'\0' * length + data[start + length :]
        case 4:
            return data[:start] + rng.bytes(length) + data[start + length :]
        case 5:
            return data[:start] + data[start + length :]
        case 6:
            return data[:start] + hole + data[start:]
        case 7:
            return data[:start] + rng.bytes(length) + data[start:]
        case _:  # two pieces change places
            other = int(rng.integers(first, len(data) - length + 1)) if len(data) - length >= first else start
            swapped = bytearray(data)
            swapped[start : start + length] = data[other : other + length]
            swapped[other : other + length] = hole
            return bytes(swapped)


def odd_value(rng: np.random.Generator) -> Any:
    """A value of any type that JSON has."""
    simple: list[Any] = [None, True, False, [], {}, [[]], {'': None}, ['a', 1], *ODD_TEXTS, *ODD_NUMBERS]
    return choose(rng, simple)


def damage_json(rng: np.random.Generator, text: bytes) -> bytes:
    """The text of a JSON file with one to three of its values changed, or as a text that is hard to read."""
    if rng.random() < 0.2:
        return damage(rng, text)
    if rng.random() < 0.1:
        return _hard_to_read(rng, text)
    root: list[Any] = [json.loads(text)]
    for _ in range(int(rng.integers(1, 4))):
        _damage_node(rng, root)
    written = json.dumps(root[0], ensure_ascii=bool(rng.integers(2)))
    if rng.random() < 0.1:  # a number that Python's own writer does not write
        written = written.replace(choose(rng, ['1', '0', 'true', 'null']), choose(rng, ['1' * 5000, '1e999', '-']), 1)
    return written.encode(choose(rng, ['utf-8'] * 8 + ['utf-16', 'utf-8-sig']), 'surrogatepass')


def _hard_to_read(rng: np.random.Generator, text: bytes) -> bytes:
    deep = int(10 ** rng.uniform(2, 5.3))
    whole = text.decode()
    inner = whole.replace(': ', ': ' + '[' * deep + ']' * deep + ', "more": ', 1)
    opened = '{"a":' * deep
    choices = ['', '[' * deep, '[' * deep + ']' * deep, opened, opened + '1' + '}' * deep, inner, ' ' * deep + whole]
    choices += ['null', '1', '"a"', '[]', '{}', whole + whole, '\0' * 100, whole + '\0', '{"a": "\\ud800"}']
    return choose(rng, choices).encode()


def _damage_node(rng: np.random.Generator, root: list[Any]) -> None:
    """Changes one value, or one name, in place."""
    parents = _containers(root)
    parent = choose(rng, parents)
    keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
    if not keys:
        return
    key = choose(rng, keys)
    match int(rng.integers(6)):
        case 0 if parent is not root:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[choose(rng, ODD_TEXTS)] = parent.pop(key)
        case 2 if isinstance(parent, list) and parent is not root:
            parent.extend([copy.deepcopy(parent[key])] * int(rng.integers(1, 4)))
        case 3:
            parent[key] = [parent[key]]
        case 4 if isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = choose(rng, ODD_NUMBERS)
        case _:
            parent[key] = odd_value(rng)


def _containers(node: Any) -> list[Any]:
    """All lists and objects in a value, itself first."""
    if not isinstance(node, list | dict):
        return []
    parts = node.values() if isinstance(node, dict) else node
    return [node, *(inner for part in parts for inner in _containers(part))]


def replace_by_something_else(rng: np.random.Generator, path: pathlib.Path) -> None:
    """Puts something in the place of a file that is none: a pipe, a device, a folder, a link to nowhere, nothing."""
    path.unlink(missing_ok=True)
    match int(rng.integers(6)):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to('/dev/zero')
        case 2:
            path.mkdir()
        case 3:
            path.symlink_to(path.name)  # a circle
        case 4:
            path.symlink_to('nowhere')
        case _:
            return
