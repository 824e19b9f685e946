"""Frames read by a thread, ahead of those that use them: all of a video, the newest ones of a camera."""

import collections
import concurrent.futures
import contextlib
import itertools
import threading
from collections.abc import Generator

import numpy as np

from yolo import overlap
from yolo.prediction import video

Item = tuple[video.Frame, np.ndarray]  # pixels (H, W, 3) uint8 RGB


def read_ahead(reader: video.Reader, bound: int) -> Generator[Item, None, None]:
    """The frames of a reader, of which at most `bound` wait."""
    return _newest(reader, bound) if reader.is_live else _all(reader, bound)


def _all(reader: video.Reader, bound: int) -> Generator[Item, None, None]:
    frames = overlap.in_order(lambda _: reader.read(), itertools.count(), threads=1, bound=bound)
    with contextlib.closing(frames):
        for frame in frames:
            if frame is None:
                return
            yield frame


def _newest(reader: video.Reader, bound: int) -> Generator[Item, None, None]:
    """The frames as they come. Where they come faster than they are used, the oldest ones that wait are left out."""
    waiting: collections.deque[Item] = collections.deque()
    news = threading.Condition()
    is_wanted = True

    def read() -> None:
        while is_wanted and (frame := reader.read()) is not None:
            with news:
                if len(waiting) == bound:
                    waiting.popleft()
                    reader.num_left_out += 1
                waiting.append(frame)
                news.notify()

    def notify(_) -> None:
        with news:
            news.notify()

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        reading.add_done_callback(notify)
        try:
            while True:
                with news:
                    news.wait_for(lambda: waiting or reading.done())
                    if not waiting:
                        break
                    frame = waiting.popleft()
                yield frame
                del frame  # else it would be held while the next one is waited for
        finally:
            is_wanted = False
        reading.result()  # raises its error
