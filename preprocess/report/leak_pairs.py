"""Images that are alike, side by side on the page: those of two splits at its top."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from preprocess.leaks import leaks as leak_tools
from preprocess.leaks.leaks import Leaks
from preprocess.leaks.near_duplicates import Pairs
from preprocess.report import problems
from yolo.data import voc_folder
from yolo.pages import page

MOST_SHOWN = 60  # pairs between splits, and as many within
MOST_OPEN = 8  # of them; a click shows the others, so that they are not in the way of what follows


def values(leaks: Leaks, source: voc_folder.Source, size: tuple[int, int]) -> dict[str, Any]:
    """What the template shows: sentences, and pictures of pairs between splits and within; size: of a picture."""
    between = leaks.pairs.where(leaks.is_between)
    within = leaks.pairs.where(~leaks.is_between)
    warnings = leak_tools.warnings(leaks)
    return {
        'leak_title': leak_tools.TITLE,
        'leak_warnings': [*warnings, leak_tools.ADVICE] if warnings else [],
        'between': _pictures(leaks, between, source, size),
        'num_between': len(between),
        'within': _pictures(leaks, within, source, size),
        'num_within': len(within),
        'most_pairs': MOST_SHOWN,
        'open_pairs': MOST_OPEN,
    }


def _pictures(
    leaks: Leaks, pairs: Pairs, source: voc_folder.Source, size: tuple[int, int]
) -> Iterator[tuple[list[str], str, list[str]]]:
    """Both pictures, both names and a line for each of the first pairs."""
    for k in range(min(len(pairs), MOST_SHOWN)):
        members = int(pairs.first[k]), int(pairs.second[k])
        images = [problems.read_image(source, leaks.ids[i]) for i in members]
        names = [f'{leaks.splits[leaks.split_of[i]]} {leaks.ids[i]}' for i in members]
        line = f'similarity {pairs.similarity[k]:.2f}' + (', mirrored' if pairs.mirrored[k] else '')
        yield [_picture(image, size) for image in images], ' = '.join(names), [line]


def _picture(image: np.ndarray | None, size: tuple[int, int]) -> str:
    return page.picture(image, *size)
