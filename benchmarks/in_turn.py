"""What the benchmarks share: things that are measured in turn, and how their ratios are told."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(takers: Mapping[str, Callable], clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """The time that each takes, one after the other."""
    found = {}
    for name, take in takers.items():
        start = clock()
        take()
        found[name] = clock() - start
    return found


def spread(ratios: Sequence[float]) -> str:
    """Median, least and most."""
    return f'median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})'
