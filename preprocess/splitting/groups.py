"""Images that must not be parted because of their names: the frames of one video."""

import re
from collections.abc import Sequence

import numpy as np


def pairs_by_name(ids: Sequence[str], pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P,) of images of the same name; it is the first group of a regular expression, or all that it matches.

    ids: of all images; one that the expression is not found in is on its own. ValueError if that is so for all of them,
    or it is no regular expression.
    """
    try:
        found = [re.search(pattern, image_id) for image_id in ids]
    except re.error as error:
        raise ValueError(f'--group_by={pattern}: not a regular expression: {error}') from error
    names = [match and (match[0] if not match.re.groups or match[1] is None else match[1]) for match in found]
    if ids and not any(match is not None for match in found):
        raise ValueError(f'--group_by={pattern}: it is found in no image id, such as {ids[0]!r}')
    last: dict[str, int] = {}
    pairs = []
    for i, name in enumerate(names):
        if name is not None:
            pairs.append((last.get(name, i), i))
            last[name] = i
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return first, second
