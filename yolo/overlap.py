"""Work that overlaps: threads that read, detect and write at the same time, in order and within a bound.

OpenCV, simplejpeg, TensorFlow and the other runtimes compute without Python's lock, so that threads are enough.
"""

import collections
import concurrent.futures
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


def in_order(
    function: Callable[[T], R], items: Iterable[T], threads: int, bound: int, early: bool = True
) -> Generator[R, None, None]:
    """function(item) for each item, in the order of the items, computed by so many threads.

    bound: the most items that are taken and whose results are not; more are taken only when a result is asked for.
    early: whether a result that is ready comes at once; if not, so many items are taken first as there may be, so that
    the threads have work while the caller is busy with the result. The items are taken in the thread of the caller. An
    error of the function comes at the place of its item, and ends it; what has not begun then is not done. The same
    when the caller ends it with `close`, which closes the items too.
    """
    items = iter(items)
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    pending: collections.deque[concurrent.futures.Future[R]] = collections.deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            del item  # else it would be held while the next one is waited for
            while pending and (len(pending) >= bound or (early and pending[0].done())):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        if hasattr(items, 'close'):
            items.close()


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of `size`; the last one may be shorter."""
    items = iter(items)
    try:
        while batch := list(itertools.islice(items, size)):
            yield batch
    finally:
        if hasattr(items, 'close'):
            items.close()
