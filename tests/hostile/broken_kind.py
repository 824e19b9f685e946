"""A program that breaks in every way that is counted, to show that each is seen."""

import os
import time

import numpy as np
from case import Case, SilentError


def broken(case: Case) -> None:
    """One way after the other, by what is random in a case: `test_hostile` looks for each of them."""
    match int(case.rng.integers(6)):
        case 0:
            raise KeyError('a traceback')
        case 1:
            os.abort()
        case 2:
            time.sleep(1000)
        case 3:
            np.ones((5 << 30) // 16)  # 2.5 GiB
        case 4:
            raise SilentError('a checksum fails')
        case _:
            case.call('verify', '--data_dir=/nowhere')
