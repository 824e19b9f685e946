"""The images of each split, and the names of the classes, that a data.yaml says."""

import posixpath
from collections.abc import Mapping, Sequence

from preprocess.sources import data_yaml, files, found, yolo_texts
from preprocess.sources.found import Found
from yolo import storage
from yolo.data import voc_folder
from yolo.data.voc_folder import Sample, Source

MOST_BYTES = 1 << 20  # of a data.yaml, and of a file of names
SPLITS = ('train', 'val', 'valid', 'test')  # keys of the file
KEYS = ('path', 'names', *SPLITS)


def find(path: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    """The splits of a data.yaml; ValueError if images to train on, or of a split that is wanted, are not there."""
    try:
        described = data_yaml.read(read_text(path), KEYS)
        names = _list_names(described.get('names', []))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    classes = check_classes(names, path)
    root = _find_root(path, described.get('path', ''))
    listed = {key: described[key] for key in SPLITS if described.get(key)}
    if not listed:
        raise ValueError(f'{path} names no images: it has no {", ".join(SPLITS)}')
    images: dict[str, list[str]] = {}
    notes = []
    for key, value in listed.items():
        entries = [entry.replace('\\', '/') for entry in ([value] if isinstance(value, str) else value)]
        resolved = [_resolve(entry, root, posixpath.dirname(path)) for entry in entries]
        notes += [f'{path}: {key}: {note}' for _, note in resolved if note]
        missing = [place for place, _ in resolved if not storage.exists(place)]
        images[key] = [each for place, _ in resolved if place not in missing for each in _images_in(place, root)]
        wrong = f'{missing[0]} is not there' if missing else '' if images[key] else f'{resolved[0][0]} has no images'
        if wrong and key in (wanted or SPLITS[:1]):
            raise ValueError(f'{path}: {key}: {wrong}; paths in it are taken from {root}')
        if wrong:
            notes.append(f'{path}: {key}: {wrong}: left out')
    images = {key: paths for key, paths in images.items() if paths}
    return _gather(images, root, classes, wanted, unlabelled, notes)


def _gather(
    images: Mapping[str, Sequence[str]],
    root: str,
    classes: tuple[str, ...],
    wanted: Sequence[str] | None,
    unlabelled: str,
    notes: Sequence[str],
) -> Found:
    """images: the paths of those of each split."""
    every = list(dict.fromkeys(path for paths in images.values() for path in paths))
    texts, more = yolo_texts.find(every, root)
    if not texts:
        such = f'{files.such_as(every)}: none beside it, nor in labels in place of images' if every else ''
        raise ValueError(f'none of the {len(every)} images has a YOLO text{such}')
    ids = files.make_ids([yolo_texts.inside(image, root) for image in every])
    samples = {ids[yolo_texts.inside(image, root)]: Sample(image, texts.get(image, '')) for image in every}
    splits = {key: [ids[yolo_texts.inside(image, root)] for image in paths] for key, paths in images.items()}
    labelled = frozenset(ids[yolo_texts.inside(image, root)] for image in texts)
    result = found.gather(Source(root, root, samples, classes, unlabelled), splits, wanted, labelled)
    return result.with_notes([*notes, *more])


def _images_in(place: str, root: str) -> list[str]:
    """The paths of all images in a folder, or that a list names, which are relative to the dataset's folder."""
    if storage.is_folder(place):
        return [files.join(place, path) for path in files.images_of(files.walk(place))]
    lines = [line.strip().replace('\\', '/') for line in read_text(place, voc_folder.MOST_LIST_BYTES).splitlines()]
    base = posixpath.dirname(place)
    return [_resolve(line, base if line.startswith('./') else root, base)[0] for line in lines if line]


def _find_root(path: str, given: data_yaml.Value) -> str:
    """The folder that paths in a data.yaml are relative to: the one that it names, if it is there, or its own."""
    folder = posixpath.dirname(path) or '.'
    named = files.join(folder, given.replace('\\', '/')) if isinstance(given, str) and given else folder
    return named if storage.is_folder(named) else folder


def _resolve(entry: str, root: str, folder: str) -> tuple[str, str]:
    """The path of images, relative to the root or to the file's folder, and a note on it or ''.

    Roboflow writes ../train for train. So a path with ../ is looked for inside of the dataset first.
    """
    within = entry
    while within.startswith('../'):
        within = within.removeprefix('../')
    places = [files.join(base, each) for each in dict.fromkeys((within, entry)) for base in (root, folder)]
    there = (place for place in dict.fromkeys(places) if storage.exists(place))
    first = next(there, '')
    other = next(there, '') if within != entry else ''
    return first or files.join(root, entry), f'{entry} was taken for {first}, not for {other}' if other else ''


def _list_names(names: data_yaml.Value) -> list[str]:
    """The names of the classes in the order of their numbers; ValueError if these are not 0, 1, 2 ..."""
    if isinstance(names, dict):
        order = sorted(names, key=lambda key: (len(key), key))
        if order != [str(i) for i in range(len(order))]:
            raise ValueError(f'names: the numbers of the classes are {", ".join(order)[:100]}, not 0, 1, 2 ...')
        return [names[key] for key in order]
    return names if isinstance(names, list) else []


def check_classes(names: Sequence[str], place: str) -> tuple[str, ...]:
    """The names of classes as they are; ValueError, with their place, if one is empty or there twice."""
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names or '' in names or len(set(names)) < len(names):
        reason = 'a class has no name' if '' in names else 'a name of a class is there twice'
        raise ValueError(f'{place}: {reason if names else "it has no names of classes"}')
    return tuple(names)


def read_text(path: str, most_bytes: int = MOST_BYTES) -> str:
    """A file in UTF-8; ValueError if it is not."""
    try:
        return voc_folder.read_file(path, 'file', most_bytes).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a text in UTF-8: {error}') from error
