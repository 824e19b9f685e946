"""Names of classes and splits: which can stand in a list, a report, and the name of a file."""

import re
import unicodedata
from collections.abc import Iterable

MOST_BYTES = 100  # two names and their numbers fit into the 255 bytes that a file's name may have
NO_LETTERS = ('Cc', 'Cs', 'Zl', 'Zp')  # control characters, halves of characters, ends of lines and paragraphs


def find_problem(name: str) -> str:
    """Why a text is not a name, '' if it is one."""
    if not name.strip():
        return 'it is empty'
    odd = [letter for letter in name if unicodedata.category(letter) in NO_LETTERS]
    return f'it has the character {odd[0]!r}' if odd else ''


def plain(name: str) -> str:
    """A name in lower case, without blanks and underscores around it, and without these and hyphens within it.

    Names that are equal then are most likely meant to be the same. Signs at an end stay: A+ and A- differ.
    """
    name = unicodedata.normalize('NFKC', name).casefold()
    return re.sub(r'(?<=\w)[\s_-]+(?=\w)|^[\s_]+|[\s_]+$', '', name)


def find_file_problem(name: str) -> str:
    """Why a name cannot be a part of the name of a file, '' if it can."""
    if problem := find_problem(name):
        return problem
    if '/' in name:
        return 'it has a /, and files are named after it'
    length = len(name.encode())
    too_long = f'it has {length} bytes, more than the {MOST_BYTES} that fit into the name of a file'
    return too_long if length > MOST_BYTES else ''


def check_file_names(names: Iterable[str], what: str) -> None:
    """ValueError for the first name that cannot be a part of the name of a file; what: where they stand, for it."""
    for name in names:
        if problem := find_file_problem(name):
            raise ValueError(f'{what}: {name[:MOST_BYTES]!r}: {problem}')
