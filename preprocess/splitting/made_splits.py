"""--make_splits: shares, who goes where, and what is to note of it."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from preprocess.leaks import fingerprint, first_look, flat, grouping
from preprocess.leaks.first_look import Look
from preprocess.pool import WorkerPool
from preprocess.settings import OFF, Settings
from preprocess.sources import voc
from preprocess.splitting import groups, kept_lists, stratify
from preprocess.splitting.kept_lists import FOLDER, KeptLists
from yolo import settings as setting_tools
from yolo.data.problems import NOTED, Problem
from yolo.names import check_file_names

OFF_BY = 0.02  # of all images: a share that is missed by more, and by more than one image, is said
MOST_NAMED = 3  # classes in a note
Lists = dict[str, list[str]]


@dataclasses.dataclass(frozen=True)
class Made:
    """The images of each split, what is to note, and what is kept for later runs.

    seen: fingerprints by image id; None if nobody had to look, since all images had a split.
    """

    lists: Lists
    problems: list[Problem]
    kept: KeptLists | None
    seen: dict[str, str] | None = None


def parse(texts: Sequence[str]) -> dict[str, float]:
    """The share of each split, given as name=share; ValueError if they are none, or do not sum to 1."""
    flag = f'--make_splits={",".join(texts)}'
    given = voc.by_name(texts, '--make_splits')
    check_file_names(given, flag)
    shares = {name: setting_tools.parse(text, float) for name, text in given.items()}
    if len(shares) < 2 or not all(0 < share < 1 for share in shares.values()):
        raise ValueError(f'{flag}: give two or more splits, each with a share above 0 and below 1')
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        raise ValueError(f'{flag}: the shares sum to {total:g}, not to 1')
    return shares


def check(made: Sequence[str] | None, group_by: str | None, given: Mapping[str, object]) -> None:
    """ValueError for flags that do not go together; given: the other flags, by name."""
    if not made:
        if group_by:
            raise ValueError(f'--group_by={group_by} is for --make_splits')
        return
    parse(made)
    for name in ('splits', 'split_files'):
        if name in given and not (name == 'splits' and 'tfds' in given):
            raise ValueError(f'--{name} names splits, --make_splits={",".join(made)} makes others: give one of them')


def make(settings: Settings, lists: Lists, workers: WorkerPool) -> Made:
    """The images of all lists in splits with the shares of the settings.

    Images that are in the lists of an earlier run keep their split. Groups, by name and by likeness, stay together;
    a group of which some images have a split follows them. ValueError for settings that do not go together.
    """
    shares = parse(settings.make_splits)
    names, ids = list(shares), list(dict.fromkeys(image_id for listed in lists.values() for image_id in listed))
    before = kept_lists.read(settings.out_dir, names)
    split_of = before.split_of if before else {}
    old = np.array([names.index(split_of[each]) if each in split_of else -1 for each in ids], np.int64)
    if before and len(ids) and (old >= 0).all():
        texts = _notes_again(kept_lists.asked_for(settings), shares, ids, old, before)
        return Made(_lists_of(names, ids, old), _problems(names, texts), before)
    looks = first_look.look_at(settings, ids, workers)
    group = _group(settings, looks)
    classes, counts = _count(looks)  # counts (N, 1 + C)
    leaders, index = np.unique(group, return_inverse=True)
    grouped = stratify.shared_out(counts, index, len(leaders))
    fixed = np.full(len(leaders), -1)
    fixed[index[old >= 0]] = old[old >= 0]
    given = stratify.give_out(grouped, np.array(list(shares.values())), fixed, settings.seed)
    splits = np.where(old >= 0, old, given[index])
    texts = _group_notes(shares, ids, index, grouped[:, 0]) + _share_notes(shares, splits, bool(before))
    texts += _class_notes(names, classes, stratify.shared_out(counts, splits, len(names)))
    seen = first_look.fingerprints(looks) if settings.leaks != OFF else None
    made, here = _lists_of(names, ids, splits), set(ids)
    gone = {name: [each for each, split in split_of.items() if split == name and each not in here] for name in names}
    return Made(made, _problems(names, texts), KeptLists(made, gone, kept_lists.asked_for(settings), texts), seen)


def _problems(names: Sequence[str], texts: Sequence[str]) -> list[Problem]:
    return [Problem(names[0], '', NOTED, text) for text in texts]


def _lists_of(names: Sequence[str], ids: Sequence[str], splits: np.ndarray) -> Lists:
    return {name: [ids[i] for i in np.flatnonzero(splits == number).tolist()] for number, name in enumerate(names)}


def _group(settings: Settings, looks: Sequence[Look]) -> np.ndarray:
    """The group (N,) of each image."""
    first = second = np.zeros(0, np.int64)
    if settings.group_by:
        first, second = groups.pairs_by_name([look.image_id for look in looks], settings.group_by)
    if settings.leaks != OFF:
        texts = [look.fingerprint or '' for look in looks]
        seen = np.array([i for i, text in enumerate(texts) if not fingerprint.is_flat(text)], np.int64)
        unpacked = fingerprint.unpack([texts[i] for i in seen.tolist()])
        group, is_complete = grouping.group(unpacked, settings.leak_distance)
        if not is_complete:
            raise ValueError(
                f'--make_splits: too many images are alike at --leak_distance={settings.leak_distance}: '
                f'give a smaller one, or --leaks={OFF} and --group_by'
            )
        flat_first, flat_second = flat.pairs(texts, [0] * len(texts))
        first = np.concatenate([first, seen[group], flat_first])
        second = np.concatenate([second, seen, flat_second])
    return grouping.connect(len(looks), first, second)


def _count(looks: Sequence[Look]) -> tuple[list[str], np.ndarray]:
    """The classes, and (N, 1 + C) 1 for each image, and 1 for each class that it has."""
    classes = sorted({name for look in looks for name in look.classes})
    places = {name: 1 + number for number, name in enumerate(classes)}
    counts = np.zeros((len(looks), 1 + len(classes)), np.int64)
    counts[:, 0] = 1
    for i, look in enumerate(looks):
        counts[i, [places[name] for name in look.classes]] = 1
    return classes, counts


def _notes_again(
    asked: Mapping[str, str], shares: Mapping[str, float], ids: Sequence[str], splits: np.ndarray, before: KeptLists
) -> list[str]:
    """What is to note where all images have a split: the same as before, if the images and settings are the same."""
    if asked == before.asked and set(ids) == {image_id for listed in before.splits.values() for image_id in listed}:
        return before.notes
    flags = [f'--{name}' for name, value in asked.items() if value != before.asked.get(name, value)]
    texts = _share_notes(shares, splits, True)
    if flags:
        texts.append(
            f'all images keep their side in the folder {FOLDER}, which was made with another {", ".join(flags)}: '
            'without it all are given out anew'
        )
    return texts


def _group_notes(shares: Mapping[str, float], ids: Sequence[str], index: np.ndarray, sizes: np.ndarray) -> list[str]:
    """Groups that are larger than a share; index (N,): the group of each image, sizes (G,)."""
    smallest = min(shares, key=lambda name: shares[name])
    most = shares[smallest] * len(ids)
    return [
        f'{sizes[group]:,} images that belong together, such as {ids[int(np.flatnonzero(index == group)[0])]!r}, are '
        f'more than the share of {smallest}: {most:.1f} images'
        for group in np.flatnonzero((sizes > most) & (sizes > 1))
    ]


def _share_notes(shares: Mapping[str, float], splits: np.ndarray, had_lists: bool) -> list[str]:
    """Splits (N,) that have not the share of the images that was asked for."""
    texts, number = [], len(splits)
    kept = (
        f', and images keep their side in the folder {FOLDER}: without it all are given out anew' if had_lists else ''
    )
    for i, (name, share) in enumerate(shares.items()):
        real = np.count_nonzero(splits == i)
        if abs(real - share * number) > max(1, OFF_BY * number):
            texts.append(
                f'{name} has {real / number:.1%} of the images, --make_splits asks for {share:.1%}: classes come '
                f'first, groups are not parted{kept}'
            )
    return texts


def _class_notes(names: Sequence[str], classes: Sequence[str], counts: np.ndarray) -> list[str]:
    """Splits without any image of a class; counts (S, 1 + C): images, and images with an object of each class."""
    texts = []
    for name, number in zip(names, counts, strict=True):
        missing = [each for each, has in zip(classes, number[1:].tolist(), strict=True) if not has]
        if missing and number[0]:
            more = f' and {len(missing) - MOST_NAMED} more' if len(missing) > MOST_NAMED else ''
            texts.append(
                f'{name} has no image with {", ".join(map(repr, missing[:MOST_NAMED]))}{more}: too few images, or '
                'groups, have such objects to give some to every split'
            )
    return texts
