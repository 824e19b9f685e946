"""What to detect in: a file, a folder, a pattern, a list of paths, a video, a camera or a stream from the network."""

import dataclasses
import os
import posixpath
from collections.abc import Iterator

from yolo import storage

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')  # that are looked for in folders
VIDEOS = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.wmv', '.flv', '.3gp')
LISTS = ('.txt',)
LONGEST_LIST = 1 << 28  # bytes
NETWORK = ('rtsp', 'rtsps', 'rtmp', 'rtp', 'udp', 'tcp', 'http', 'https')  # schemes of addresses that FFmpeg opens


@dataclasses.dataclass(frozen=True)
class Sources:
    """photos: paths of image files; streams: paths of videos, numbers of cameras as text, addresses; each in order."""

    photos: list[str]
    streams: list[str]


def find(source: str, recursive: bool = False, left_out: str = '') -> Sources:
    """The photos and streams that a source means, each once; ValueError if there are none.

    source: an image, a video (by its ending), a folder, a pattern, the number of a camera, an address, or a text file
    with one of these a line, relative to where the command runs. recursive: also folders within folders, but for links;
    left_out: a folder that is not searched then, as it is written to.
    """
    found = Sources([], [])
    if source.lower().endswith(LISTS) and storage.is_file(source):
        lines = storage.read(source, LONGEST_LIST).splitlines()
        entries = [os.fsdecode(line.strip()) for line in lines if line.strip()]
        for entry in entries:
            _add(found, entry, recursive, left_out)
        if not entries:
            raise ValueError(f'{source}: no line has a path')
    elif is_live(source) or storage.exists(source):
        _add(found, source, recursive, left_out)
    else:
        paths = storage.glob(source)
        if not paths:
            raise ValueError(f'{source}: no such file or folder')
        for path in paths:
            _add(found, path, recursive, left_out)
    if not found.photos and not found.streams:
        looked_for = ', '.join((*IMAGES, *VIDEOS))
        below = '' if recursive else '; --recursive also searches the folders in it'
        raise ValueError(f'{source}: no image or video in this folder; looked for {looked_for}{below}')
    return Sources(list(dict.fromkeys(found.photos)), list(dict.fromkeys(found.streams)))


def is_live(source: str) -> bool:
    """Whether a source is the number of a camera or an address: it has no file, and may have no end."""
    scheme, mark, _ = source.partition('://')
    return is_camera(source) or (bool(mark) and scheme.lower() in NETWORK)


def is_camera(source: str) -> bool:
    """Whether a source is the number of a camera."""
    return source.isascii() and source.isdigit()


def shown(source: str) -> str:
    """A source as it may be printed: an address without the name and password in it."""
    if is_camera(source):
        return f'camera {source}'
    if not is_live(source):
        return storage.printable(source)
    scheme, mark, rest = source.partition('://')
    host, slash, path = rest.partition('?')[0].partition('/')
    return storage.printable(scheme + mark + host.rpartition('@')[2] + slash + path)


def _add(found: Sources, path: str, recursive: bool, left_out: str) -> None:
    """Adds what a path means to what was found."""
    if not is_live(path) and storage.is_folder(path):
        for each in _files(path, recursive, os.path.realpath(left_out) if left_out else ''):
            if each.lower().endswith(IMAGES):
                found.photos.append(each)
            elif each.lower().endswith(VIDEOS):
                found.streams.append(each)
    elif is_live(path) or path.lower().endswith(VIDEOS):
        found.streams.append(path)
    else:
        found.photos.append(path)


def _files(folder: str, recursive: bool, left_out: str) -> Iterator[str]:
    """The paths in a folder in the order of their names; recursive: for each folder there its own."""
    for name in storage.names(folder):
        path = posixpath.join(folder, name)
        if not recursive or not storage.is_folder(path):
            yield path
        elif not os.path.islink(path) and os.path.realpath(path) != left_out:  # a link may lead in a circle
            yield from _files(path, recursive, left_out)
