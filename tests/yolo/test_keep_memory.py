"""`yolo.memory.keep_freed_memory`, in a process of its own, since it changes how a process allocates."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from yolo import memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.full(64 << 20, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == 'kept':
    assert memory.keep_freed_memory()
new_pages()
print(new_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='needs glibc')
def test_pages_are_new_once():
    pages = {
        each: int(subprocess.run([sys.executable, '-c', PROGRAM, each], capture_output=True, check=True).stdout)
        for each in ('given back', 'kept')
    }
    assert pages['kept'] < 100
    assert pages['given back'] > 10 * pages['kept'] + 10
