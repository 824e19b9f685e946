"""Images of almost one colour: those with the same pixels are the same image, of others nothing can be said."""

from collections.abc import Sequence

import numpy as np

from preprocess.leaks import fingerprint


def pairs(texts: Sequence[str], split_of: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P,) of flat images with the same text: each with the first one of each split; first < second.

    texts: the fingerprints of all images; split_of: the split of each.
    """
    chosen = [i for i, text in enumerate(texts) if text and fingerprint.is_flat(text)]
    firsts: dict[str, dict[int, int]] = {}
    for i in chosen:
        firsts.setdefault(texts[i], {}).setdefault(split_of[i], i)
    found = {(min(i, j), max(i, j)) for i in chosen for j in firsts[texts[i]].values() if i != j}
    first, second = np.array(sorted(found), np.int64).reshape(-1, 2).T
    return first, second
