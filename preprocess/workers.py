"""Worker processes."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2


@contextlib.contextmanager
def pool(number: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """Gives a `map` over worker processes, or within this one if `number` is 1."""
    if number == 1:
        yield map
        return
    # spawn: the threads that OpenCV, or TensorFlow in a program that uses this, have do not survive a fork
    context = multiprocessing.get_context('spawn')
    executor = concurrent.futures.ProcessPoolExecutor(number, context, _start)
    try:
        yield executor.map
    finally:
        executor.shutdown(cancel_futures=True)


def _start() -> None:
    """One thread a process; and none outlives the command, whose next run would write the same files."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
