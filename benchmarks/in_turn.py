"""What the benchmarks share: timing functions one after the other, and formatting the ratios of their times."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(functions: Mapping[str, Callable], clock: Callable[[], float] = time.perf_counter) -> dict[str, float]:
    """The seconds that a call of each function takes, by its name; they are called one after the other."""
    times = {}
    for name, function in functions.items():
        start = clock()
        function()
        times[name] = clock() - start
    return times


def spread(ratios: Sequence[float]) -> str:
    """The median, the least and the greatest ratio, as text."""
    return f'median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})'
