"""The most memory that this process has used since a moment (Linux).

Not `getrusage`: its maximum cannot be begun anew, and a new process takes it over from the one that started it.
"""

import pathlib


def reset() -> int:
    """Begins anew; returns the bytes in use now."""
    pathlib.Path('/proc/self/clear_refs').write_text('5')
    return _status('VmRSS')


def peak() -> int:
    """The most bytes that were in use since `reset`, or since the start."""
    return _status('VmHWM')


def _status(name: str) -> int:
    lines = pathlib.Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ':')) << 10
