"""Which annotation is that of which image, by their paths, for every source; and what has to be said of it."""

import collections
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from preprocess.sources import files
from preprocess.sources.split_folders import split_of

# Names of folders that hold images or annotations: those of a pair may differ in them alone.
KINDS_OF_FOLDERS = frozenset(('images', 'jpegimages', 'imgs', 'labels', 'annotations', 'xml', 'xmls', 'txt'))


def pair(images: Sequence[str], annotations: Iterable[str], across_splits: bool = False) -> dict[str, str]:
    """The annotation of each image that has one; both are paths relative to folders that may differ.

    It has the same path but for the suffix (`a.xml`, `a.jpg.xml`); or else the same name, exactly or loosely, and of
    several such lies in the folder whose path is most like that of the image. What could be the annotation of two
    images is that of none, and none is taken from another split, unless across_splits says that this may be.
    """
    free = {files.stem(path): path for path in annotations}
    pairs: dict[str, str] = {}
    for key in (lambda path: path, files.stem):  # a.jpg.xml names its image better than a.xml
        pairs |= {image: free.pop(key(image)) for image in images if image not in pairs and key(image) in free}
    for same in (files.name_of, files.loose_name_of, _name_without_suffixes):
        left = [image for image in images if image not in pairs]
        pairs |= match(left, sorted(set(free.values()) - set(pairs.values())), same, across_splits)
    return pairs


def match(
    images: Sequence[str], annotations: Sequence[str], same: Callable[[str], str], across_splits: bool = False
) -> dict[str, str]:
    """The one annotation for which `same` gives what it gives for the image, in the most similar folder.

    Folders that differ only in names for images and annotations are one, whatever lies elsewhere: that settles most
    of a thousand files of one name without comparing each with each.
    """
    pairs = _match_in_folders(images, annotations, same) if images else {}
    taken = set(pairs.values())
    by_name = collections.defaultdict(list)
    left = [image for image in images if image not in pairs]
    for path in annotations if left else ():
        if path not in taken:
            by_name[same(path)].append((path, _folders(path)))
    candidates = {image: _nearest(image, by_name.get(same(image), ()), across_splits) for image in left}
    times = collections.Counter(path for found in candidates.values() for path in found)
    return pairs | {image: found[0] for image, found in candidates.items() if len(found) == 1 and times[found[0]] == 1}


def _match_in_folders(images: Sequence[str], annotations: Sequence[str], same: Callable[[str], str]) -> dict[str, str]:
    """The pairs of which both are the only ones of their name in folders of the same names."""
    by_key: tuple[dict, dict] = {}, {}
    for paths, keys in zip((images, annotations), by_key, strict=True):
        for path in paths:
            keys.setdefault((same(path), *_plain_folders(path)), []).append(path)
    return {
        found[0]: by_key[1][key][0]
        for key, found in by_key[0].items()
        if len(found) == 1 and len(by_key[1].get(key, ())) == 1
    }


def _folders(path: str) -> frozenset[str]:
    return frozenset(path.split('/')[:-1])


def _nearest(image: str, paths: Sequence[tuple[str, frozenset[str]]], across_splits: bool) -> list[str]:
    """Those of some paths, with their folders, that have most folders in common with an image.

    None is of another split unless that may be.
    """
    own = split_of(image) if paths and not across_splits else frozenset()
    if own:
        paths = [(path, folders) for path, folders in paths if split_of(path) in (own, frozenset())]
    image_folders = _folders(image)
    common = [len(image_folders & folders) for _, folders in paths]
    most = max(common, default=0)
    return [path for (path, _), number in zip(paths, common, strict=True) if number == most]


def _name_without_suffixes(path: str) -> str:
    """The loose name of a.jpg.xml without both suffixes."""
    return files.stem(files.loose_name_of(path))


def describe(pairs: Mapping[str, str], annotations: Collection[str]) -> list[str]:
    """Notes on annotations that belong to no image, and on those that do by another name or in another folder."""
    lonely = sorted(set(annotations) - set(pairs.values()))
    others = {path: image for image, path in pairs.items() if files.stem(image) != files.stem(path)}
    renamed = {path: image for path, image in others.items() if not _have_one_name(image, path)}
    moved = {
        path: image
        for path, image in others.items()
        if path not in renamed and _plain_folders(image) != _plain_folders(path)
    }
    notes = [_describe(renamed, 'another name than their image'), _describe(moved, 'another folder than their image')]
    if lonely:
        notes.append(f'{len(lonely)} annotations have no image, or more than one{files.such_as(lonely)}: left out')
    return [note for note in notes if note]


def _have_one_name(image: str, annotation: str) -> bool:
    return files.composed(files.name_of(image)) == files.composed(files.name_of(annotation))


def _describe(annotations: Mapping[str, str], how: str) -> str:
    if not annotations:
        return ''
    first, image = next(iter(annotations.items()))
    return f'{len(annotations)} annotations have {how}, such as {first[:200]!r} for {image[:200]!r}'


def _plain_folders(path: str) -> list[str]:
    return [part for part in posixpath.dirname(path).split('/') if part and part.lower() not in KINDS_OF_FOLDERS]
