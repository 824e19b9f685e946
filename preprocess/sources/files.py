"""The images and annotations in a folder, however deep, and their names.

Annotation tools, unzippers and people rename files: a blank becomes `_` or `%20`, `.jpg` becomes `.JPG`, XML moves into
a folder of its own. What is the same name here is so but for that.
"""

import collections
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

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

    What they are is known by their suffix. A folder to which several links lead is read once, and where it is itself,
    if that is in here. OSError if a folder cannot be read, ValueError if it is full of other files.
    """
    folders, links, seen, num_others = [''], collections.deque[str](), set[str](), 0
    while folders or links:
        inside = folders.pop() if folders else links.popleft()
        whole = posixpath.join(folder, inside)
        if storage.is_local(folder):
            if os.path.realpath(whole) in seen:
                continue
            seen.add(os.path.realpath(whole))
        below: list[str] = []
        for name in storage.names(whole):
            path = posixpath.join(inside, name)
            if name.startswith('.') or name == FOREIGN:
                continue
            if suffix(name) in KNOWN:  # no question to the file system
                yield path
                continue
            num_others += 1
            if path.count('/') < MOST_DEPTH and storage.is_folder(posixpath.join(folder, path)):
                is_link = storage.is_local(folder) and os.path.islink(posixpath.join(folder, path))
                (links if is_link else below).append(path)
        if num_others > MOST_OTHERS:
            raise ValueError(
                f'{folder} has more than {MOST_OTHERS:,} files and folders that are neither images nor annotations: '
                'give the folder of the images itself'
            )
        folders += reversed(below)


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
    """The same but for case, for blanks that became `_` or `%20`, and for how Unicode composes letters (macOS)."""
    return re.sub(r'%20|[ _]', '_', composed(name_of(path)).casefold())


def composed(text: str) -> str:
    """A text with each letter and its accent as one sign, whichever way it is written."""
    return text if text.isascii() else unicodedata.normalize('NFC', text)


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
