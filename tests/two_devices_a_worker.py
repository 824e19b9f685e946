"""train.py in a worker that computes on two CPU devices: `two_devices_a_worker.py train.py --cpu_devices=2 ...`.

MultiWorkerMirroredStrategy takes all GPUs of a worker, but one CPU device only; here it takes two.
"""

import pathlib
import runpy
import sys

from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended

ROOT = pathlib.Path(__file__).parent.parent


def two_cpu_devices(self, resolver, worker_device: str) -> tuple[tuple[str, ...], str]:
    return tuple(f'{worker_device}/device:CPU:{number}' for number in (0, 1)), 'CPU'


CollectiveAllReduceExtended._initialize_local_devices = two_cpu_devices
sys.argv = sys.argv[1:]
sys.path[0] = str(ROOT)
runpy.run_path(str(ROOT / sys.argv[0]), run_name='__main__')
