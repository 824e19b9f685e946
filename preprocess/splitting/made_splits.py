"""--make_splits: shares, the lists beside the records, and who goes where."""

import posixpath
from collections.abc import Mapping, Sequence

import numpy as np

from preprocess.leaks import fingerprint, first_look, grouping
from preprocess.leaks.first_look import Look
from preprocess.pool import WorkerPool
from preprocess.settings import OFF, Settings
from preprocess.sources import voc
from preprocess.splitting import groups, stratify
from yolo import settings as setting_tools
from yolo import storage
from yolo.data import voc_folder
from yolo.data.problems import NOTED, Problem
from yolo.names import check_file_names

FOLDER = 'splits'  # in the folder of records
OFF_BY = 0.02  # of all images: a share that is missed by more, and by more than one image, is said
Lists = dict[str, list[str]]


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


def make(settings: Settings, lists: Lists, workers: WorkerPool) -> tuple[Lists, list[Problem], dict[str, str] | None]:
    """The images of all lists in splits with the shares of the settings, what there is to note, and the fingerprints.

    Images that are in the lists of an earlier run keep their split. Groups, by name and by likeness, stay together;
    a group of which some images have a split follows them. No fingerprints (None): there was nobody to give out.
    ValueError for settings that do not go together.
    """
    shares = parse(settings.make_splits)
    names, ids = list(shares), list(dict.fromkeys(image_id for listed in lists.values() for image_id in listed))
    before = read_lists(settings.out_dir, names)
    old = np.array([names.index(before[each]) if each in before else -1 for each in ids], np.int64)
    if len(ids) and (old >= 0).all():
        return _lists_of(names, ids, old), [], None
    looks = first_look.look_at(settings, ids, workers)
    group = _group(settings, looks)
    counts = _count(looks)  # (N, 1 + C)
    leaders, index = np.unique(group, return_inverse=True)
    grouped = np.zeros((len(leaders), counts.shape[1]), np.int64)
    np.add.at(grouped, index, counts)
    fixed = np.full(len(leaders), -1)
    fixed[index[old >= 0]] = old[old >= 0]
    given = stratify.give_out(grouped, np.array(list(shares.values())), fixed, settings.seed)
    splits = np.where(old >= 0, old, given[index])
    problems = [
        Problem(names[0], '', NOTED, text) for text in _notes(shares, ids, index, grouped, splits, bool(before))
    ]
    seen = first_look.fingerprints(looks) if settings.leaks != OFF else None
    return _lists_of(names, ids, splits), problems, seen


def _lists_of(names: Sequence[str], ids: Sequence[str], splits: np.ndarray) -> Lists:
    return {name: [ids[i] for i in np.flatnonzero(splits == number).tolist()] for number, name in enumerate(names)}


def _group(settings: Settings, looks: Sequence[Look]) -> np.ndarray:
    """The group (N,) of each image."""
    first = second = np.zeros(0, np.int64)
    if settings.group_by:
        first, second = groups.pairs_by_name([look.image_id for look in looks], settings.group_by)
    if settings.leaks != OFF:
        seen = np.array([i for i, look in enumerate(looks) if look.fingerprint], np.int64)
        texts = [look.fingerprint for look in looks if look.fingerprint]
        group, is_complete = grouping.group(fingerprint.unpack(texts), settings.leak_distance)
        if not is_complete:
            raise ValueError(
                f'--make_splits: too many images are alike at --leak_distance={settings.leak_distance}: '
                f'give a smaller one, or --leaks={OFF} and --group_by'
            )
        first, second = np.concatenate([first, seen[group]]), np.concatenate([second, seen])
    return grouping.connect(len(looks), first, second)


def _count(looks: Sequence[Look]) -> np.ndarray:
    """1 for each image, and 1 for each class that it has (N, 1 + C)."""
    classes = sorted({name for look in looks for name in look.classes})
    places = {name: 1 + number for number, name in enumerate(classes)}
    counts = np.zeros((len(looks), 1 + len(classes)), np.int64)
    counts[:, 0] = 1
    for i, look in enumerate(looks):
        counts[i, [places[name] for name in look.classes]] = 1
    return counts


def _notes(
    shares: Mapping[str, float],
    ids: Sequence[str],
    index: np.ndarray,
    grouped: np.ndarray,
    splits: np.ndarray,
    had_lists: bool,
) -> list[str]:
    """What came of it, where it is not what was asked for."""
    texts, smallest = [], min(shares, key=lambda name: shares[name])
    most = shares[smallest] * len(ids)
    for group in np.flatnonzero((grouped[:, 0] > most) & (grouped[:, 0] > 1)):
        first = ids[int(np.flatnonzero(index == group)[0])]
        texts.append(
            f'{grouped[group, 0]:,} images that belong together, such as {first!r}, are more than the share of '
            f'{smallest}: {most:.1f} images'
        )
    for number, (name, share) in enumerate(shares.items()):
        real, kept = np.count_nonzero(splits == number), ''
        if had_lists:
            kept = f', and images keep their side in the folder {FOLDER}: without it all are given out anew'
        if abs(real - share * len(ids)) > max(1, OFF_BY * len(ids)):
            texts.append(
                f'{name} has {real / len(ids):.1%} of the images, --make_splits asks for {share:.1%}: classes come '
                f'first, groups are not parted{kept}'
            )
    return texts


def read_lists(out_dir: str, names: Sequence[str]) -> dict[str, str]:
    """The split of each image in the lists of an earlier run; none if there was no such run.

    ValueError if an image is in two of them, or there are lists of other splits.
    """
    folder = posixpath.join(out_dir, FOLDER)
    there = sorted(storage.names(folder)) if storage.is_folder(folder) else []
    splits: dict[str, str] = {}
    for file in there:
        name = file.removesuffix('.txt')
        if name not in names or name == file:
            raise ValueError(
                f'{folder} has {file}, which is no list of --make_splits with {", ".join(names)}: name the same '
                'splits, or remove that folder to give out all images anew'
            )
        for image_id in voc_folder.read_split(posixpath.join(folder, file)):
            if splits.setdefault(image_id, name) != name:
                raise ValueError(f'{folder}: {image_id!r} is in the lists of {splits[image_id]} and {name}')
    return splits


def write_lists(out_dir: str, lists: Mapping[str, Sequence[str]]) -> None:
    """Writes the lists beside the records; nothing if there are none."""
    folder = posixpath.join(out_dir, FOLDER)
    if lists:
        storage.make_folder(folder)
    for name, ids in lists.items():
        storage.write(posixpath.join(folder, f'{name}.txt'), ''.join(f'{image_id}\n' for image_id in ids))
