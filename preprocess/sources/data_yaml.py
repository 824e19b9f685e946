"""The data.yaml of a YOLO dataset: where the images of each split are, and the names of the classes.

It is a file of a few keys whose values are texts, lists of texts, or texts by number, and that much of YAML is read
here. A YAML library would give names that are no texts: `no` and `off` become False, 1.0 a number, `01` 1.
"""

import re
from collections.abc import Iterator, Sequence

KEY = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[\w.-]+)\s*:(?:\s+(?P<value>.*))?$""")
BLOCK_TEXT = re.compile(r'[|>][+-]?\d?')

Value = str | list[str] | dict[str, str]


def read(text: str, keys: Sequence[str]) -> dict[str, Value]:
    """The values of some keys at the beginning of lines, those that are there; all other keys are passed over.

    A value is a text, a list of texts, or texts by key. ValueError, with the number of the line, for another one.
    """
    lines = [_without_comment(line) for line in text.splitlines()]
    if next((line for line in lines if line.strip()), '').startswith('{'):
        raise ValueError('it is one {...}, which is not read: write each key at the beginning of a line of its own')
    values: dict[str, Value] = {}
    for number, line in enumerate(lines):
        match = KEY.match(line)
        if match and _unquote(match['key']) in keys:
            try:
                values[_unquote(match['key'])] = _read_value(
                    (match['value'] or '').strip(), list(_block(lines, number))
                )
            except ValueError as error:
                raise ValueError(f'line {number + 1}: {error}') from error
    return values


def _without_comment(line: str) -> str:
    """A line up to a `#` that stands outside of quotes and behind a blank or nothing."""
    quote = ''
    for i, letter in enumerate(line):
        if quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"' and (i == 0 or line[i - 1] in f' [{{,:-{letter}'):
            quote = letter
        elif letter == '#' and (i == 0 or line[i - 1].isspace()):
            return line[:i].rstrip()
    return line.rstrip()


def _block(lines: Sequence[str], number: int) -> Iterator[str]:
    """The lines that belong to the key of a line: those behind it that are empty, indented, or items of a list."""
    for line in lines[number + 1 :]:
        if line and not line[0].isspace() and not line.startswith(('- ', ']', '}')) and line != '-':
            return
        if line.strip():
            yield line


def _read_value(value: str, block: Sequence[str]) -> Value:
    if value.startswith(('[', '{')):
        return _read_flow(' '.join([value, *(line.strip() for line in block)]))
    if BLOCK_TEXT.fullmatch(value):
        raise ValueError(f'a text over several lines ({value}) is not expected here')
    if value or not block:
        return _unquote(value)
    indent = min(len(line) - len(line.lstrip()) for line in block)
    items = [line.strip() for line in block if len(line) - len(line.lstrip()) == indent]
    if all(item.startswith('- ') for item in items) and len(items) == len(block):
        return [_unquote(item[2:]) for item in items]
    pairs = [KEY.match(item) for item in items]
    if None in pairs or len(items) < len(block):
        raise ValueError('a list of texts, or lines `key: text`, are expected below it')
    return {_unquote(pair['key']): _unquote(pair['value'] or '') for pair in pairs if pair}


def _read_flow(text: str) -> Value:
    """A list [a, b] or texts by key {0: a, 1: b}."""
    close = ']' if text[0] == '[' else '}'
    items, rest = _split_flow(text[1:], close)
    if rest.strip():
        raise ValueError(f'{rest.strip()[:40]!r} stands behind the {close}')
    if close == ']':
        return [_unquote(item) for item in items]
    pairs = [KEY.match(item) for item in items]
    if None in pairs:
        raise ValueError('`key: text` is expected between commas')
    return {_unquote(pair['key']): _unquote(pair['value'] or '') for pair in pairs if pair}


def _split_flow(text: str, close: str) -> tuple[list[str], str]:
    """The items up to a closing bracket, and what stands behind it."""
    items, start, quote, is_inside = [], 0, '', False  # of a text without quotes, in which a quote is a letter
    for i, letter in enumerate(text):
        if quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"' and (not is_inside or text[i - 1] == letter):
            quote, is_inside = letter, True
        elif letter in '[{':
            raise ValueError('a list in a list is not expected here')
        elif letter in (',', close):
            items.append(text[start:i].strip())
            start, is_inside = i + 1, False
            if letter == close:
                return [item for item in items if item], text[start:]
        elif letter == ':':
            is_inside = False  # a key ends
        elif not letter.isspace():
            is_inside = True
    raise ValueError(f'the {close} is missing')


def _unquote(text: str) -> str:
    """A text without its quotes."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r'\\(.)', r'\1', text[1:-1])
    return '' if text in ('~', 'null') else text
