"""Videos, cameras and streams from the network: read frame by frame, and written with what was detected drawn."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from absl import logging

from yolo import storage
from yolo.data.images import MAX_PIXELS
from yolo.prediction import sources
from yolo.progress import say

SUFFIX, CODEC = '.mp4', 'mp4v'  # MPEG-4 part 2: OpenCV's wheels write it, and players read it
FRAME_RATE = 25.0  # of a video whose source does not say its own
MOST_FRAME_RATE = 1000.0  # more is a camera's or a container's way to say nothing
TIMEOUT = 10_000  # milliseconds without an answer after which a camera or an address is given up
MOST_FAILURES = 1000  # frames that cannot be decoded one after the other, behind which a good one is looked for
MOST_SAID = 3  # places of one video
LOST = 0.02  # of the frames that a header announces, which is an estimate in some formats
FFMPEG_LEVEL = ('OPENCV_FFMPEG_LOGLEVEL', '-8')  # quiet: it prints a line for every odd byte


@dataclasses.dataclass(frozen=True)
class Frame:
    """number: of the frames that were read, from 0; seconds: its time in the video, or since the first of a camera."""

    number: int
    seconds: float


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """OpenCV prints nothing of its own about cameras and videos: what is wrong is said by who reads them."""
    os.environ.setdefault(*FFMPEG_LEVEL)  # read when OpenCV uses FFmpeg for the first time
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class Reader:
    """A video, camera or stream that was opened; ValueError with the reason if it cannot be.

    frame_rate: frames a second, 0 if unknown; announced: how many frames its header says that it has, 0 if unknown;
    is_live: whether nobody knows its end; num_read, num_broken: frames until now, and the places at which some could
    not be decoded; num_left_out: of those that were read, by who asked for them; has_ended: whether there are no more.
    """

    def __init__(self, source: str):
        self.name = sources.shown(source)
        self._capture = _open(source, self.name)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = round(rate, 2) if 0 < rate <= MOST_FRAME_RATE else 0.0
        self.announced = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.is_live = sources.is_live(source) and not self.announced
        self.num_read, self.num_broken, self.num_left_out = 0, 0, 0
        self.has_ended = False
        _check_size(self._capture, self.name)
        self._start = time.monotonic()
        is_read, self._first = self._capture.read()
        if not is_read:
            self.close()
            raise ValueError(f'{self.name}: no frame of it can be read')

    def read(self) -> tuple[Frame, np.ndarray] | None:
        """The next frame, with its pixels (H, W, 3) uint8 RGB; None at the end. Frames that are broken are left out."""
        image = None if self.has_ended else self._next_image()
        if image is None:
            self.has_ended = True
            return None
        milliseconds = 0.0 if self.is_live else self._capture.get(cv2.CAP_PROP_POS_MSEC)
        seconds = time.monotonic() - self._start if self.is_live else milliseconds / 1000
        frame = Frame(self.num_read, round(seconds, 3))
        self.num_read += 1
        return frame, cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def _next_image(self) -> np.ndarray | None:
        """The next image (H, W, 3) uint8 BGR; after a broken frame of a file the one behind it, if there is one."""
        if not self.num_read:
            return self._first
        is_read, image = self._capture.read()
        failures = 0
        while not is_read and failures < MOST_FAILURES and self.num_read + failures < self.announced:
            failures += 1
            is_read, image = self._capture.read()
        if is_read and failures:
            self.num_broken += 1
            if self.num_broken <= MOST_SAID:
                say(logging.ERROR, '%s: broken after frame %d, goes on behind it', self.name, self.num_read - 1)
        return image if is_read else None

    def find_loss(self) -> str:
        """What could not be read of the video, at its end; '' if nothing of note is missing."""
        lost = self.announced - self.num_read
        if self.num_broken or lost > LOST * self.announced:
            read = f'{self.num_read} of {self.announced} frames'
            return f'{self.name}: {read} could be read; it is damaged or not complete'
        return ''

    def close(self) -> None:
        self._capture.release()


def _open(source: str, name: str) -> cv2.VideoCapture:
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT]
    if sources.is_camera(source):
        capture = cv2.VideoCapture(min(int(source), 1 << 16))
        if not capture.isOpened():
            raise ValueError(f'{name}: there is no such camera, or another program has it')
        return capture
    if not sources.is_live(source):
        if not storage.is_local(source):
            raise ValueError(f'{name}: videos are read from local files and from addresses; copy it to a local disk')
        with storage.reader(source) as file:  # OSError if there is none, or it may not be read
            is_empty = not file.read(1)
        if is_empty:
            raise ValueError(f'{name}: the file is empty')
    capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, timeouts)
    if not capture.isOpened():
        reason = 'no stream that OpenCV reads is there' if sources.is_live(source) else 'not a video that OpenCV reads'
        raise ValueError(f'{name}: {reason}')
    return capture


def _check_size(capture: cv2.VideoCapture, name: str) -> None:
    """ValueError for frames of more pixels than an image may have, before they take memory."""
    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        capture.release()
        raise ValueError(
            f'{name}: its header says {width} x {height} pixels a frame, which is more than {MAX_PIXELS:,}'
        )


@contextlib.contextmanager
def writer(path: str, frame_rate: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A video file, which is there with all of its frames when this ends.

    Its frames (H, W, 3) uint8 RGB go to the function that this yields. It has the size of the first frame, without the
    last row or column of an odd number; others are resized to it. After an error, such as a full disk, nothing of it is
    left. Without a frame none is written.
    """
    with contextlib.ExitStack() as stack:
        files: list[Callable[[np.ndarray], None]] = []

        def write(pixels: np.ndarray) -> None:
            if not files:
                partial = stack.enter_context(storage.local_writer(path, SUFFIX))
                size = pixels.shape[1], pixels.shape[0]
                files.append(stack.enter_context(_encoder(partial, path, frame_rate or FRAME_RATE, size)))
            files[0](pixels)

        yield write


@contextlib.contextmanager
def _encoder(
    partial: str, path: str, frame_rate: float, size: tuple[int, int]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Writes a video of `size` = width, height; errors name `path`."""
    with open(partial, 'wb'):  # OSError with its reason, which OpenCV does not give
        pass
    file = cv2.VideoWriter(partial, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), frame_rate, size)
    if not file.isOpened():
        raise ValueError(f'{path}: OpenCV cannot write a video of {size[0]} x {size[1]} pixels as {CODEC}')
    written = 0

    def write(pixels: np.ndarray) -> None:
        nonlocal written
        if (pixels.shape[1], pixels.shape[0]) != size:
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        file.write(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        written += 1

    try:
        yield write
    finally:
        file.release()
    _check(partial, path, written)


def _check(partial: str, path: str, written: int) -> None:
    """OSError if a video that was written has not all of its frames: OpenCV is silent about a full disk."""
    capture = cv2.VideoCapture(partial, cv2.CAP_FFMPEG)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    if count != written:
        raise OSError(f'{path}: {count} of {written} frames could be written; is the disk full?')
