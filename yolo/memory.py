"""How much memory there is, and the refusal of what would need more."""

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import platform
import resource

GIB = 1 << 30
UNLIMITED = 1 << 60  # control groups write a larger number where they have no limit
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Bytes that something needs: `least` at the very least, and what it is `likely` to take."""

    least: int
    likely: int


def host_memory() -> int:
    """Bytes of memory that this process can have: of the machine, its control group, its own limit (`ulimit -v`).

    Swap is not counted: what does not fit without it takes for ever.
    """
    limits = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'), *_group_limits()]
    own, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min(limits if own == resource.RLIM_INFINITY else [*limits, own])


def keep_freed_memory() -> bool:
    """Lets this process keep large blocks of memory that it frees, for the next that it needs; False: not with glibc.

    Otherwise the C library gives them back at once, and the system clears new pages at their first use: in a training
    step on the CPU more than a gigabyte, every time. (mallopt(3).)
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    library = ctypes.CDLL(None)
    return all([library.mallopt(M_MMAP_MAX, 0), library.mallopt(M_TRIM_THRESHOLD, -1)])


def _group_limits(system: str = '/') -> list[int]:
    """The limits of the control groups of this process and of those around it, version 1 and 2."""
    groups = pathlib.Path(system, 'proc/self/cgroup')
    limits = []
    for line in groups.read_text().splitlines() if groups.exists() else []:
        _, controllers, path = line.split(':', 2)
        if controllers and 'memory' not in controllers.split(','):
            continue
        root = pathlib.Path(system, 'sys/fs/cgroup', 'memory' if controllers else '')
        name = 'memory.limit_in_bytes' if controllers else 'memory.max'
        inner = root / path.strip('/')
        for folder in (inner, *inner.parents):
            with contextlib.suppress(OSError):  # a limit that may not be read is not known
                if folder.is_relative_to(root) and (folder / name).is_file():
                    limits.append((folder / name).read_text().strip())
    return [int(limit) for limit in limits if limit.isdigit() and int(limit) < UNLIMITED]


def format_bytes(number: float) -> str:
    """Bytes as GiB: '5.1 GiB'."""
    return f'{number / GIB:,.1f} GiB'
