"""The bytes of an XML in any encoding -> what expat reads.

expat knows UTF-8, UTF-16 with a mark, ASCII and Latin-1, and Python lends it tables of one byte a letter; the encodings
of East Asia and UTF-16 without a mark are decoded here first. (XML 1.0, section 4.3.3 and appendix F)
"""

import codecs
import contextlib
import re

DECLARED = re.compile(rb'\s*<\?xml[^>]*?\sencoding\s*=\s*["\']([A-Za-z][A-Za-z0-9._-]*)["\']')
# By their first bytes: marks, then '<' or a blank in two or four bytes.
MARKS = (
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
WIDE = re.compile(
    rb'(?P<utf_32_le>[< \t\r\n]\0\0\0)|(?P<utf_32_be>\0\0\0[< \t\r\n])|'
    rb'(?P<utf_16_le>[< \t\r\n]\0)|(?P<utf_16_be>\0[< \t\r\n])'
)
# Named for the smaller of two encodings by programs that write the larger one.
LARGER = {'gb2312': 'gb18030', 'gbk': 'gb18030', 'shift_jis': 'cp932', 'euc_kr': 'cp949', 'big5': 'cp950'}
# Python's codecs that are no encodings of files: they would turn other bytes into markup.
NO_ENCODINGS = ('unicode-escape', 'raw-unicode-escape', 'idna', 'punycode', 'utf-7', 'undefined')


def decode(data: bytes) -> bytes | str:
    """The same XML as bytes that expat reads as they are, or as text, whose declared encoding counts no more.

    ValueError, with the encoding and the place, for an encoding that is not known or that the bytes are not in.
    """
    if data[:1] == b'<' and data[1:2] != b'\0' and data[:5] != b'<?xml':
        return data  # UTF-8: nothing says otherwise
    mark = next((codec for start, codec in MARKS if data.startswith(start)), '')
    wide = WIDE.match(data)
    if mark or wide:
        return _decode(data, mark or str(wide and wide.lastgroup).replace('_', '-'))
    declared = DECLARED.match(data, 3 if data.startswith(codecs.BOM_UTF8) else 0)
    codec = _find_codec(declared.group(1).decode()) if declared else 'utf-8'
    if codec.startswith(('utf-16', 'utf-32')):  # it cannot be: the declaration itself has one byte a letter
        return _decode(data, 'utf-8')
    is_known = declared is None or declared.group(1).upper() == b'UTF-8'  # expat knows no other of its names
    return data if is_known else _decode(data, codec)


def _find_codec(name: str) -> str:
    """Python's name of an encoding; ValueError if it is none."""
    try:
        codec = codecs.lookup(name).name
        with contextlib.suppress(UnicodeError):
            b' '.decode(codec)
    except LookupError as error:  # also of codecs between bytes and bytes
        raise ValueError(f'unknown encoding {name}') from error
    if codec in NO_ENCODINGS:
        raise ValueError(f'{name} is not an encoding of files')
    return codec


def _decode(data: bytes, codec: str) -> str:
    """The text; the larger encoding is taken where the smaller one that is named has not all of the letters."""
    try:
        return data.decode('utf-8-sig' if codec == 'utf-8' else codec)
    except UnicodeError as error:
        if codec in LARGER:
            return _decode(data, LARGER[codec])
        place = f'byte {error.start}' if isinstance(error, UnicodeDecodeError) else 'its end'
        raise ValueError(f'its bytes are not {codec.upper()}, at {place}') from error


def find_hint(data: bytes) -> str:
    """What to say of an XML that could not be read, '' if nothing: that it is not UTF-8 but names no encoding."""
    if DECLARED.match(data) or data.startswith(tuple(mark for mark, _ in MARKS)) or WIDE.match(data):
        return ''
    try:
        data.decode('utf-8')
    except UnicodeDecodeError as error:
        return (
            f'; it has letters that are not UTF-8, at byte {error.start}: name their encoding in its first line, as '
            '<?xml version="1.0" encoding="GBK"?>'
        )
    return ''
