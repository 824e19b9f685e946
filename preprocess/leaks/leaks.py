"""Which images are in two splits, or nearly: what is said of it on the screen, on the page and in report.json."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from preprocess.leaks import fingerprint, near_duplicates
from preprocess.leaks.near_duplicates import Pairs

EXAMPLES = 3  # ids in a sentence
TITLE = 'Images of one split are also in another: what is measured on them is better than the truth'
ADVICE = (
    'report.html shows them side by side, report.json names them all. --leaks=drop leaves them out of the split that '
    'comes first, --leaks=fail ends before anything is written'
)


@dataclasses.dataclass(frozen=True)
class Leaks:
    """What is alike in the splits of a dataset.

    splits: names, in order; ids and split_of (N,): the images that were compared, and which split each is in; pairs:
    those that are nearly the same, by index, but for an image that stands in two lists; in_both: the ids that two
    splits have in their lists; num_flat: images of almost one colour, num_unseen: images without fingerprint, which
    were not compared.
    """

    splits: tuple[str, ...]
    ids: tuple[str, ...]
    split_of: np.ndarray
    pairs: Pairs
    in_both: dict[tuple[str, str], tuple[str, ...]]
    num_flat: int = 0
    num_unseen: int = 0

    @property
    def is_between(self) -> np.ndarray:
        """Which pairs (P,) are of two splits."""
        return self.split_of[self.pairs.first] != self.split_of[self.pairs.second]

    def of_splits(self, first: str, second: str) -> Pairs:
        """The pairs of two splits, or within one."""
        numbers = [self.splits.index(name) for name in (first, second)]
        low, high = self.split_of[self.pairs.first], self.split_of[self.pairs.second]
        return self.pairs.where((low == min(numbers)) & (high == max(numbers)))


def find(lists: Mapping[str, Sequence[str]], fingerprints: Mapping[str, Mapping[str, str]], bits: int) -> Leaks:
    """Compares all images whose fingerprints (by split and id) are given; lists: the ids of each split.

    bits: as in `near_duplicates.find`.
    """
    seen = [(split, image_id, text) for split in lists for image_id, text in fingerprints[split].items()]
    compared = [each for each in seen if each[2]]
    ids = tuple(image_id for _, image_id, _ in compared)
    names = list(lists)
    split_of = np.array([names.index(split) for split, _, _ in compared], np.int64)
    pairs = near_duplicates.find(fingerprint.unpack([text for _, _, text in compared]), bits)
    is_other = [ids[i] != ids[j] for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    return Leaks(
        tuple(names),
        ids,
        split_of,
        pairs.where(np.array(is_other, bool)),
        find_in_both(lists),
        len(seen) - len(compared),
        sum(map(len, lists.values())) - len(seen),
    )


def find_in_both(lists: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The ids that stand in the lists of two splits, by their names."""
    both = {}
    for first, second in itertools.combinations(lists, 2):
        there = set(lists[second])
        same = tuple(image_id for image_id in lists[first] if image_id in there)
        if same:
            both[first, second] = same
    return both


def warnings(leaks: Leaks) -> list[str]:
    """A sentence for whatever two splits have in common; none if that is nothing."""
    lines = [
        f'{len(ids):,} images are in the lists of both {first} and {second}: {_such_as(ids)}'
        for (first, second), ids in leaks.in_both.items()
    ]
    for first, second in itertools.combinations(leaks.splits, 2):
        pairs = leaks.of_splits(first, second)
        if len(pairs):
            lines.append(
                f'{len(np.unique(pairs.first)):,} images of {first} are nearly the same as '
                f'{len(np.unique(pairs.second)):,} of {second}: {_example(leaks, pairs)}'
            )
    return lines if leaks.pairs.is_complete else [*lines, _describe_end(leaks.pairs)]


def notes(leaks: Leaks) -> dict[str, list[str]]:
    """What there is to say of each split for itself."""
    lines: dict[str, list[str]] = {name: [] for name in leaks.splits}
    for name in leaks.splits:
        pairs = leaks.of_splits(name, name)
        if len(pairs):
            number = len(np.unique([pairs.first, pairs.second]))
            example = _example(leaks, pairs)
            lines[name].append(f'{number:,} images are nearly the same as another of the split: {example}')
    if leaks.num_flat:
        text = f'{leaks.num_flat:,} images of almost one colour were not compared with others (--leaks)'
        lines[leaks.splits[0]].append(text)
    return lines


def _describe_end(pairs: Pairs) -> str:
    return (
        f'the search for images that are alike ended at {len(pairs):,} pairs, with more to come: nearly all are alike; '
        'a smaller --leak_distance finds fewer, --leaks=off looks for none'
    )


def _such_as(ids: Sequence[str]) -> str:
    return ', '.join(map(repr, ids[:EXAMPLES])) + (', ...' if len(ids) > EXAMPLES else '')


def _example(leaks: Leaks, pairs: Pairs) -> str:
    """The first pairs in words."""
    texts = [
        f'{leaks.ids[i]!r} and {leaks.ids[j]!r}' + (' (mirrored)' if mirrored else '')
        for i, j, mirrored in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.mirrored.tolist(), strict=True)
    ]
    return '; '.join(texts[:EXAMPLES]) + ('; ...' if len(texts) > EXAMPLES else '')


def as_json(leaks: Leaks) -> dict:
    """All of it for report.json: the ids in two lists, and every pair, those between splits first."""
    order = np.argsort(~leaks.is_between, kind='stable')
    pairs = leaks.pairs.where(order)
    columns = (pairs.first.tolist(), pairs.second.tolist(), pairs.similarity.tolist(), pairs.mirrored.tolist())
    return {
        'in_two_lists': [{'splits': list(names), 'image_ids': list(ids)} for names, ids in leaks.in_both.items()],
        'pairs': [
            {
                'splits': [leaks.splits[leaks.split_of[k]] for k in (i, j)],
                'image_ids': [leaks.ids[i], leaks.ids[j]],
                'similarity': round(similarity, 3),
                'mirrored': mirrored,
            }
            for i, j, similarity, mirrored in zip(*columns, strict=True)
        ],
        'has_all_pairs': leaks.pairs.is_complete,
        'images_of_one_colour': leaks.num_flat,
        'images_not_compared': leaks.num_unseen,
    }
