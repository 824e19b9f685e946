"""How likely a label is wrong, from how often what is seen of it is seen of all labels, and would be of wrong ones.

A quantity is known of N candidates, nearly all of them right, and of a sample of wrong labels, whose number among the
candidates is not known. The sample needs nobody who looks at images: what a missing object would show is what the
annotated ones show, and what a box of nothing shows is what one shows that is laid into another image.

The number w of wrong candidates is the largest that fits: at no threshold may there be fewer candidates above it than
of w wrong ones would be. Of the candidates with about the same quantity, the share of wrong ones is then w times the
density of the sample over that of the candidates. (A local false discovery rate; Efron, 2004.)
"""

import numpy as np

LEVELS = 100  # thresholds, as quantiles of the sample
LEAST_SHARE = 0.5  # of the sample above a threshold: at the end of its range it is not quite that of real labels


def probabilities(values: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """How likely each of N candidates is wrong, 0..1 (N,), not falling with its value.

    values (N,): the larger, the more suspicious; sample (M,): of wrong labels.
    """
    if not len(values) or not len(sample):
        return np.zeros(len(values))
    edges = np.unique(np.quantile(sample, np.linspace(0, 1, LEVELS + 1), method='nearest'))[::-1]  # falling
    candidates = _share_from(values, edges) * len(values)  # (E,) how many are at or above each edge
    wrong = _share_from(sample, edges)
    enough = wrong >= LEAST_SHARE
    wrong = wrong * np.min(candidates[enough] / wrong[enough])
    counts, expected = np.append(candidates, len(values)), np.append(wrong, wrong[-1])
    slopes = _falling_slopes(counts, expected)  # (E + 1,) of each bin; the last one is below all of the sample
    bins = np.searchsorted(-edges, -values)
    return np.clip(slopes[bins], 0, 1)


def _share_from(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share of some values that are at least each edge."""
    ascending = np.sort(values)
    return 1 - np.searchsorted(ascending, edges, 'left') / len(values)


def _falling_slopes(counts: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Expected over counts of each bin, bins joined until it does not rise from bin to bin; both are cumulative.

    (Pool adjacent violators, over the at most LEVELS + 2 bins.)
    """
    blocks: list[list[float]] = []
    for count, number in zip(np.diff(counts, prepend=0), np.diff(expected, prepend=0), strict=True):
        blocks.append([count, number, 1])
        while len(blocks) > 1 and blocks[-1][1] * blocks[-2][0] >= blocks[-2][1] * blocks[-1][0]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    slopes = [number / count if count else float(number > 0) for count, number, _ in blocks]
    return np.repeat(slopes, [int(length) for _, _, length in blocks])
