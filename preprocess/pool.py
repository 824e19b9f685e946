"""The workers: processes of this machine, or Apache Beam on many machines."""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import pickle
import posixpath
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import resource_tracker
from typing import Any

import cv2

from yolo import signals, storage

# glibc gives the memory of an image back to the system and has it zeroed again for the next one: a fifth of all time.
KEEP_MEMORY = {'MALLOC_TRIM_THRESHOLD_': str(128 << 20), 'MALLOC_MMAP_THRESHOLD_': str(32 << 20)}


@dataclasses.dataclass(frozen=True)
class WorkerPool:
    """run: as the builtin map, but by the workers; scratch: a folder that all workers can write to."""

    run: Callable[..., Iterator[Any]]
    scratch: str


@contextlib.contextmanager
def local(number: int) -> Iterator[WorkerPool]:
    """A pool of `number` processes of this machine; with 1, this process itself."""
    with tempfile.TemporaryDirectory() as scratch, signals.at_end(lambda _: _kill_workers(scratch)):
        if number == 1:
            yield WorkerPool(map, scratch)
            return
        # spawn: the threads that OpenCV, or TensorFlow in a program that uses this, have do not survive a fork
        context = multiprocessing.get_context('spawn')
        for name, value in KEEP_MEMORY.items():
            os.environ.setdefault(name, value)  # read by each process at its start
        executor = concurrent.futures.ProcessPoolExecutor(number, context, _start)

        def run(function: Callable, *columns: Iterable) -> Iterator[Any]:
            resource_tracker.ensure_running()  # which unblocks them, and would be started in the next line
            with _blocked_signals():  # which the workers, started here, inherit
                return executor.map(function, *columns)

        try:
            yield WorkerPool(run, scratch)
        finally:
            executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Keeps SIGTERM and SIGINT from this thread and from the processes that it starts: the command's end is theirs."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers(scratch: str) -> None:
    """Ends the workers in the middle of their work, which a later run does again, and removes their scratch folder."""
    for worker in multiprocessing.active_children():
        worker.kill()
        worker.join()
    shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def beam(options: Sequence[str], scratch: str) -> Iterator[WorkerPool]:
    """Apache Beam, on whatever runner its options say; scratch: a path that all its workers can write to.

    ValueError if Beam is not installed.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ValueError(f'--runner=beam needs Apache Beam: pip install yolov2-tensorflow[beam] ({error})') from error
    calls = itertools.count()

    def run(function: Callable, *columns: Iterable) -> Iterator[Any]:
        folder = posixpath.join(scratch, f'results-{next(calls)}')
        storage.make_folder(folder)
        jobs = list(enumerate(zip(*columns, strict=True)))
        with apache_beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            (pipeline | apache_beam.Create(jobs) | apache_beam.Reshuffle() | apache_beam.Map(_call, function, folder))
        for number, _ in jobs:
            yield pickle.loads(storage.read(posixpath.join(folder, str(number))))

    storage.make_folder(scratch)
    try:
        with signals.at_end(lambda _: storage.remove_folder(scratch)):
            yield WorkerPool(run, scratch)
    finally:
        storage.remove_folder(scratch)


def _call(job: tuple[int, tuple], function: Callable, folder: str) -> None:
    """Leaves the result of one job in a file: that is where the command, perhaps on another machine, finds it."""
    number, arguments = job
    storage.write(posixpath.join(folder, str(number)), pickle.dumps(function(*arguments)))


def _start() -> None:
    """One thread a process; and none outlives the command, whose next run would write the same files."""
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
