"""Which images are in two splits, or nearly: what is said of it on the screen, on the page and in report.json."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from preprocess.leaks import fingerprint, flat, near_duplicates
from preprocess.leaks.near_duplicates import Pairs

EXAMPLES = 3  # ids in a sentence
MOST_LISTED = 10_000  # pairs in report.json
TITLE = 'Images of one split are also in another: what is measured on them is better than the truth'
ADVICE = (
    'report.html shows pairs side by side, report.json names them. --leaks=drop leaves them out of the split that '
    'comes first, --leaks=fail ends before anything is written'
)


@dataclasses.dataclass(frozen=True)
class Leaks:
    """What is alike in the splits of a dataset.

    splits: names, in order; ids and split_of (N,): the images that were compared, and which split each is in; pairs:
    those that are nearly the same, by index, but for an image that stands in two lists; in_both: the ids that two
    splits have in their lists; num_flat: images of almost one colour, of which only those with the same pixels are
    pairs; num_unseen: images without fingerprint, which were not compared.
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
    texts = [text for _, _, text in compared]
    pairs = _find_pairs(texts, bits, split_of)
    is_other = [ids[i] != ids[j] for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)]
    return Leaks(
        tuple(names),
        ids,
        split_of,
        pairs.where(np.array(is_other, bool)),
        find_in_both(lists),
        sum(fingerprint.is_flat(text) for _, _, text in seen),
        sum(map(len, lists.values())) - len(seen),
    )


def _find_pairs(texts: Sequence[str], bits: int, split_of: np.ndarray) -> Pairs:
    """The pairs of images, by their fingerprints; those of almost one colour last."""
    other = np.array([i for i, text in enumerate(texts) if not fingerprint.is_flat(text)], np.int64)
    pairs = near_duplicates.find(fingerprint.unpack([texts[i] for i in other.tolist()]), bits, split_of[other])
    first, second = flat.pairs(texts, split_of.tolist())
    return dataclasses.replace(
        pairs,
        first=np.concatenate([other[pairs.first], first]),
        second=np.concatenate([other[pairs.second], second]),
        similarity=np.concatenate([pairs.similarity, np.ones(len(first), np.float32)]),
        mirrored=np.concatenate([pairs.mirrored, np.zeros(len(first), bool)]),
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
        f'{_count(len(ids))} {_be(len(ids))} in the lists of both {first} and {second}: {_such_as(ids)}'
        for (first, second), ids in leaks.in_both.items()
    ]
    for first, second in itertools.combinations(leaks.splits, 2):
        pairs = leaks.of_splits(first, second)
        if len(pairs):
            number = len(np.unique(pairs.first))
            lines.append(
                f'{_count(number)} of {first} {_be(number)} nearly the same as '
                f'{len(np.unique(pairs.second)):,} of {second}: {_example(leaks, pairs)}'
            )
    return lines


def notes(leaks: Leaks) -> dict[str, list[str]]:
    """What there is to say of each split for itself."""
    lines: dict[str, list[str]] = {name: [] for name in leaks.splits}
    for name in leaks.splits:
        pairs = leaks.of_splits(name, name)
        if len(pairs):
            number = len(np.unique([pairs.first, pairs.second]))
            example = _example(leaks, pairs)
            lines[name].append(f'{_count(number)} {_be(number)} nearly the same as another of the split: {example}')
    if leaks.num_flat:
        text = f'{_count(leaks.num_flat)} of almost one colour, alike only if all pixels are the same (--leaks)'
        lines[leaks.splits[0]].append(text)
    lines[leaks.splits[0]] += _describe_gaps(leaks.pairs)
    return lines


def _describe_gaps(pairs: Pairs) -> list[str]:
    """What was not looked at: no alarm, since that says nothing of images of two splits."""
    lines = []
    if not pairs.is_complete:
        lines.append(
            f'the search for images that are alike ended at {len(pairs):,} pairs, with more to come: many are alike, '
            'as those of a fixed camera; a smaller --leak_distance finds fewer, --leaks=off looks for none'
        )
    if not pairs.has_all_crops:
        lines.append(
            'not all images that may be cropped copies were compared: the hashes of too many are near, as those of a '
            'fixed camera; with a smaller --leak_distance there are fewer'
        )
    return lines


def _count(number: int) -> str:
    return f'{number:,} image' + ('s' if number != 1 else '')


def _be(number: int) -> str:
    return 'are' if number != 1 else 'is'


def _such_as(ids: Sequence[str]) -> str:
    return ', '.join(map(repr, ids[:EXAMPLES])) + (', ...' if len(ids) > EXAMPLES else '')


def _example(leaks: Leaks, pairs: Pairs) -> str:
    """The first pairs in words."""
    shown = pairs.where(np.arange(min(len(pairs), EXAMPLES)))
    texts = [
        f'{leaks.ids[i]!r} and {leaks.ids[j]!r}' + (' (mirrored)' if mirrored else '')
        for i, j, mirrored in zip(shown.first.tolist(), shown.second.tolist(), shown.mirrored.tolist(), strict=True)
    ]
    return '; '.join(texts) + ('; ...' if len(pairs) > EXAMPLES else '')


def as_json(leaks: Leaks) -> dict:
    """All of it for report.json: the ids in two lists, and MOST_LISTED pairs, those between splits first."""
    order = np.argsort(~leaks.is_between, kind='stable')[:MOST_LISTED]
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
        'num_pairs': len(leaks.pairs),
        'has_all_pairs': len(pairs) == len(leaks.pairs) and leaks.pairs.is_complete and leaks.pairs.has_all_crops,
        'images_of_one_colour': leaks.num_flat,
        'images_not_compared': leaks.num_unseen,
    }
