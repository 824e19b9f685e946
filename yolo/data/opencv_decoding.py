"""OpenCV's decoders, and what the libraries behind them print of a file: caught, since it is about that file."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

import cv2
import numpy as np

# Pixels as they are stored: VOC boxes refer to those, not to a photo rotated as its EXIF orientation says.
AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

_LOG = re.compile(r'\[ *(?:FATAL|ERROR|WARN|INFO):\d+@[\d.]+\] \S+ \S+:\d+ \S+ ?')  # before what OpenCV logs
_PLACE = re.compile(r"imdecode_\(''\): |OpenCV\([\d.]+\) \S+: error: \([^)]*\) | in function '\w+'")  # in its code
_LIBJPEG = (  # what it warns of: jerror.h
    'Corrupt JPEG data: ',
    'Premature end of JPEG file',
    'Inconsistent progression sequence',
    'Invalid SOS parameters',
    'Unknown Adobe color transform',
    'Warning: unknown JFIF revision',
)
_DECODERS = ('libpng warning: ', 'libpng error: ', *_LIBJPEG)
_HARMLESS = re.compile(r'libpng warning: |TIFF(ReadDirectory|Fetch\w+): ')  # odd metadata; the pixels were read

MOST_PRINTED = 1 << 16  # bytes of one file that are read
_lock = threading.Lock()  # a process has one standard error


def decode(data: bytes, any_depth: bool = False) -> tuple[np.ndarray | None, list[str]]:
    """The image (H, W, 3) uint8 BGR of a file, None if OpenCV cannot read it, and what its libraries say, line by line.

    That goes nowhere else. any_depth: a file of 16 bits gives uint16; without it the upper 8 are taken. ValueError if
    OpenCV refuses the file before it reads its pixels.
    """
    printed: list[str] = []
    try:
        with _lock, _caught(printed):
            flags = AS_STORED | (cv2.IMREAD_ANYDEPTH if any_depth else 0)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f'OpenCV refuses the image: {_PLACE.sub("", str(error)).strip()}') from error
    return image, printed


def is_harmless(said: str) -> bool:
    """Whether a line of `decode` is about something beside the pixels. libpng ends with an error if these are wrong."""
    return _HARMLESS.match(said) is not None


@contextlib.contextmanager
def _caught(said: list[str]) -> Iterator[None]:
    """Takes what decoders print to standard error. Lines that other threads print meanwhile are passed on."""
    try:
        terminal = os.dup(2)
    except OSError:  # the process has closed it: nothing is printed
        yield
        return
    try:
        with _buffer() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(terminal, 2)
            file.seek(0)
            for line in file.read(MOST_PRINTED).decode(errors='replace').splitlines(keepends=True):
                _sort(line, said, terminal)
    finally:
        os.close(terminal)


def _buffer() -> IO[bytes]:
    """A file in memory if the system has such, else on disk."""
    return os.fdopen(os.memfd_create('decoder'), 'r+b') if hasattr(os, 'memfd_create') else tempfile.TemporaryFile()


def _sort(line: str, said: list[str], terminal: int) -> None:
    """Adds a decoder's line to `said`, without what OpenCV's log has before it; or writes another's to the terminal."""
    is_log, text = _LOG.match(line), _PLACE.sub('', _LOG.sub('', line)).strip()
    if is_log or line.startswith(_DECODERS):
        said.extend([text] if text else [])
    elif line.strip():
        os.write(terminal, line.encode())
