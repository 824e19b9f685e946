"""The images and annotations in a folder, however deep, and which of them belong together.

Annotation tools, unzippers and people rename files: a blank becomes `_` or `%20`, `.jpg` becomes `.JPG`, XML moves into
a folder of its own. What is the same name here is so but for that.
"""

import collections
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from yolo import storage

# What OpenCV reads. Of images that differ in nothing else the first here is the one that an annotation is of.
IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif', '.jp2', '.avif', '.ppm', '.pgm', '.pnm')
XML, TEXT = '.xml', '.txt'
KNOWN = frozenset((*IMAGES, XML, TEXT, '.json', '.yaml', '.yml', '.names'))
FOREIGN = '__MACOSX'  # what macOS adds to its zip files
MOST_DEPTH = 16  # of folders
MOST_OTHERS = 200_000  # of files: a whole disk is not searched


def walk(folder: str) -> Iterator[str]:
    """The paths of images, annotations and lists in a folder and all folders in it, relative to it; no hidden ones.

    What they are is known by their suffix. OSError if a folder cannot be read, ValueError if it is full of other files.
    """
    folders, num_others = [''], 0
    while folders:
        inside = folders.pop()
        below = []
        for name in storage.names(posixpath.join(folder, inside)):
            path = posixpath.join(inside, name)
            if name.startswith('.') or name == FOREIGN:
                continue
            if suffix(name) in KNOWN:  # no question to the file system
                yield path
                continue
            num_others += 1
            if _is_below(folder, inside, path):
                below.append(path)
        if num_others > MOST_OTHERS:
            raise ValueError(
                f'{folder} has more than {MOST_OTHERS:,} files and folders that are neither images nor annotations: '
                'give the folder of the images itself'
            )
        folders += reversed(below)


def _is_below(folder: str, inside: str, path: str) -> bool:
    """Whether a path is a folder, and no link to one that it lies in."""
    whole = posixpath.join(folder, path)
    if path.count('/') >= MOST_DEPTH or not storage.is_folder(whole):
        return False
    parent = os.path.realpath(posixpath.join(folder, inside))
    return not storage.is_local(whole) or not f'{parent}/'.startswith(f'{os.path.realpath(whole)}/')


def join(folder: str, path: str) -> str:
    """A path in a folder, without `.` and `..` where these can be resolved."""
    scheme, mark, rest = posixpath.join(folder, path).rpartition('://')
    return scheme + mark + posixpath.normpath(rest)


def suffix(path: str) -> str:
    """The suffix of a path in small letters, as `.jpg`."""
    return posixpath.splitext(path)[1].lower()


def stem(path: str) -> str:
    """A path without the suffix of an image or an annotation; dots in names are no suffixes."""
    root, end = posixpath.splitext(path)
    return root if end.lower() in KNOWN else path


def images_of(paths: Iterable[str]) -> list[str]:
    """The images among some paths, sorted; of those with the same stem that of the most usual kind first."""
    found = [path for path in paths if suffix(path) in IMAGES]
    return sorted(found, key=lambda path: (stem(path), IMAGES.index(suffix(path))))


def name_of(path: str) -> str:
    """The name of a file without folders and suffix, exactly."""
    return stem(posixpath.basename(path.replace('\\', '/')))


def loose_name_of(path: str) -> str:
    """The same but for case, and for blanks that became `_` or `%20`."""
    return re.sub(r'%20|[ _]', '_', name_of(path).casefold())


def pair(images: Sequence[str], annotations: Iterable[str]) -> dict[str, str]:
    """The annotation of each image that has one; both are paths relative to folders that may differ.

    It has the same path but for the suffix; or else the same name, exactly or loosely, and of several such lies in the
    folder whose path is most like that of the image. What could be the annotation of two images is that of none.
    """
    free = {stem(path): path for path in annotations}
    pairs = {image: free.pop(stem(image)) for image in images if stem(image) in free}
    for same in (name_of, loose_name_of):
        left = [image for image in images if image not in pairs]
        pairs |= match(left, sorted(set(free.values()) - set(pairs.values())), same)
    return pairs


def match(images: Sequence[str], annotations: Sequence[str], same: Callable[[str], str]) -> dict[str, str]:
    """The one annotation for which `same` gives what it gives for the image, in the most similar folder."""
    by_name = collections.defaultdict(list)
    for path in annotations if images else ():
        by_name[same(path)].append(path)
    candidates = {image: _nearest(image, by_name.get(same(image), ())) for image in images}
    times = collections.Counter(path for found in candidates.values() for path in found)
    return {image: found[0] for image, found in candidates.items() if len(found) == 1 and times[found[0]] == 1}


def _nearest(image: str, paths: Sequence[str]) -> list[str]:
    """Those of some paths that have most folders in common with an image."""
    folders = set(image.split('/')[:-1])
    common = [len(folders.intersection(path.split('/')[:-1])) for path in paths]
    return [path for path, number in zip(paths, common, strict=True) if number == max(common)]


def make_ids(images: Sequence[str]) -> dict[str, str]:
    """An id for each image: its path without the suffix, or with it where that is another image's."""
    owners: dict[str, str] = {}
    for image in images:
        owners.setdefault(stem(image), image)
    return {image: stem(image) if owners[stem(image)] == image else image for image in images}


def such_as(paths: Sequence[str]) -> str:
    """The first of some paths, for a message: `, such as 'a.jpg'`; nothing if there is just one: ` ('a.jpg')`."""
    first = paths[0][:200]
    return f' ({first!r})' if len(paths) == 1 else f', such as {first!r}'
