"""YOLO datasets: a data.yaml as Ultralytics and Roboflow write it, or a folder of texts with the names of the classes.

python -m preprocess --yolo=data.yaml --out_dir=data/mine
"""

import posixpath
from collections.abc import Mapping, Sequence

from preprocess.sources import data_yaml, files, found
from preprocess.sources.found import Found
from yolo import storage
from yolo.data import voc_folder
from yolo.data.voc_folder import Sample, Source

MOST_BYTES = 1 << 20  # of a data.yaml, and of a file of names
SPLITS = ('train', 'val', 'valid', 'test')  # keys of the file
KEYS = ('path', 'names', *SPLITS)
NAMES_FILES = ('classes.txt', 'obj.names', 'classes.names', 'labels.txt')


def find(path: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    """The splits of a data.yaml, or of a folder with one, or with a file of names; ValueError if they are not there."""
    if not storage.is_folder(path):
        return _find_by_yaml(path, wanted, unlabelled)
    there = storage.names(path)
    described = [name for name in there if files.suffix(name) in ('.yaml', '.yml')]
    if len(described) > 1 and 'data.yaml' in described:
        described = ['data.yaml']
    if len(described) == 1:
        return _find_by_yaml(posixpath.join(path, described[0]), wanted, unlabelled)
    if described:
        raise ValueError(f'{path} has {", ".join(described)}: give one of them by --yolo')
    named = next((name for name in NAMES_FILES if name in there), None)
    if named is None:
        raise ValueError(f'{path} has neither a data.yaml nor names of classes ({", ".join(NAMES_FILES)})')
    return _find_texts(path, named, wanted, unlabelled)


def _find_texts(folder: str, named: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    """Images with texts beside them or in other folders: what LabelImg leaves when it saves YOLO."""
    classes = _check_classes(_read_text(posixpath.join(folder, named)).splitlines(), posixpath.join(folder, named))
    paths = [path for path in files.walk(folder) if posixpath.basename(path) not in NAMES_FILES]
    images = files.images_of(paths)
    pairs = files.pair(images, [path for path in paths if files.suffix(path) == files.TEXT])
    if not pairs:
        raise ValueError(f'{folder} has {len(images)} images, and no YOLO text with the name of one of them')
    ids = files.make_ids(images)
    samples = {ids[image]: found.make_sample(folder, image, folder, pairs.get(image, '')) for image in images}
    source = Source(folder, folder, samples, classes, unlabelled)
    labelled = frozenset(ids[image] for image in pairs)
    return found.gather(source, found.split_by_folder(list(samples)), wanted, labelled)


def _find_by_yaml(path: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    try:
        described = data_yaml.read(_read_text(path), KEYS)
        names = _list_names(described.get('names', []))
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    classes = _check_classes(names, path)
    root = _find_root(path, described.get('path', ''))
    listed = {key: described[key] for key in SPLITS if described.get(key)}
    if not listed:
        raise ValueError(f'{path} names no images: it has no {", ".join(SPLITS)}')
    images: dict[str, list[str]] = {}
    notes = []
    for key, value in listed.items():
        entries = [value] if isinstance(value, str) else list(value)
        places = [_resolve(entry, root, posixpath.dirname(path)) for entry in entries]
        missing = [place for place in places if not storage.exists(place)]
        if missing and (key == SPLITS[0] or key in (wanted or ())):
            raise ValueError(f'{path}: {key}: {missing[0]} is not there')
        if missing:
            notes.append(f'{path} names {missing[0]} for {key}, which is not there: left out')
        images[key] = [image for place in places if place not in missing for image in _images_in(place, root)]
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
    texts = {image: _text_path(image) for image in every}
    folders = {posixpath.dirname(text) for text in texts.values()}
    there = {
        folder: frozenset(storage.names(folder)) if storage.is_folder(folder) else frozenset() for folder in folders
    }
    has_text = {image for image, text in texts.items() if posixpath.basename(text) in there[posixpath.dirname(text)]}
    if not has_text:
        raise ValueError(
            f'none of the {len(every)} images has a YOLO text'
            + (f', such as {texts[every[0]]} for {every[0]}' if every else '')
        )
    ids = files.make_ids([_inside(image, root) for image in every])
    samples = {ids[_inside(image, root)]: Sample(image, texts[image] if image in has_text else '') for image in every}
    splits = {key: [ids[_inside(image, root)] for image in paths] for key, paths in images.items()}
    labelled = frozenset(ids[_inside(image, root)] for image in has_text)
    result = found.gather(Source(root, root, samples, classes, unlabelled), splits, wanted, labelled)
    first = next(iter(result.splits))
    return Found(result.source, result.splits, (*result.notes, *((first, note) for note in notes)))


def _inside(path: str, root: str) -> str:
    """A path relative to the dataset's folder; of one that is not in it all but what leads there."""
    return path.removeprefix(root + '/').lstrip('/')


def _text_path(image: str) -> str:
    """Where the text of an image is: beside it, or in `labels` where the path has `images`; of several the last."""
    before, images, after = f'/{files.stem(image)}'.rpartition('/images/')
    return f'{before}/labels/{after}.txt'[1:] if images else files.stem(image) + '.txt'


def _images_in(place: str, root: str) -> list[str]:
    """The paths of all images in a folder, or that a list names, which are relative to the dataset's folder."""
    if storage.is_folder(place):
        return [files.join(place, path) for path in files.images_of(files.walk(place))]
    lines = [line.strip().replace('\\', '/') for line in _read_text(place, voc_folder.MOST_LIST_BYTES).splitlines()]
    base = posixpath.dirname(place)
    return [_resolve(line, base if line.startswith('./') else root, base) for line in lines if line]


def _find_root(path: str, given: data_yaml.Value) -> str:
    """The folder that paths in a data.yaml are relative to: the one that it names, if it is there, or its own."""
    folder = posixpath.dirname(path) or '.'
    named = files.join(folder, given) if isinstance(given, str) and given else folder
    return named if storage.is_folder(named) else folder


def _resolve(entry: str, root: str, folder: str) -> str:
    """The path of images: relative to the root, or to the file's folder; Roboflow writes ../train for train."""
    inside = entry
    while inside.startswith('../'):
        inside = inside.removeprefix('../')
    places = [files.join(base, each) for each in (entry, inside) for base in (root, folder)]
    return next((place for place in places if storage.exists(place)), places[0])


def _list_names(names: data_yaml.Value) -> list[str]:
    """The names of the classes in the order of their numbers; ValueError if these are not 0, 1, 2 ..."""
    if isinstance(names, dict):
        order = sorted(names, key=lambda key: (len(key), key))
        if order != [str(i) for i in range(len(order))]:
            raise ValueError(f'names: the numbers of the classes are {", ".join(order)[:100]}, not 0, 1, 2 ...')
        return [names[key] for key in order]
    return names if isinstance(names, list) else []


def _check_classes(names: Sequence[str], place: str) -> tuple[str, ...]:
    names = [name.strip() for name in names]
    while names and not names[-1]:
        names.pop()
    if not names or '' in names or len(set(names)) < len(names):
        reason = 'a class has no name' if '' in names else 'a name of a class is there twice'
        raise ValueError(f'{place}: {reason if names else "it has no names of classes"}')
    return tuple(names)


def _read_text(path: str, most_bytes: int = MOST_BYTES) -> str:
    try:
        return voc_folder.read_file(path, 'file', most_bytes).decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not a text in UTF-8: {error}') from error
