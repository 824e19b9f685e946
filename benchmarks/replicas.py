"""Training on 1, 2, 4 and 8 logical CPU devices: from the start of train.py to its first step, and the steps after it.

  python benchmarks/replicas.py --data_dir=data/voc416 --split=trainval

Every run is a process of its own, with the same batch over all devices and without XLA. Prints for each number of
devices the seconds until the line of the first step, the median seconds of a step after it, and both as ratios to one
device. --before=CHECKOUT measures an older version as well, in turn.
"""

import itertools
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to train on.')
flags.DEFINE_string('model', 'yolov2', 'Network.')
flags.DEFINE_integer('batch_size', 8, 'Images a step, over all devices.')
flags.DEFINE_list('devices', ['1', '2', '4', '8'], 'Numbers of logical CPU devices.')
flags.DEFINE_integer('num_steps', 6, 'Steps of each run.')
flags.DEFINE_integer('rounds', 1, 'How often each is run.')
flags.DEFINE_float('limit', 900, 'Seconds after which a run is ended; it then counts as that long.')
flags.DEFINE_string('before', None, 'Checkout of an older version.')
flags.DEFINE_list('more', [], 'More flags of train.py, as batch_norm=local,jit_compile=true.')

ROOT = pathlib.Path(__file__).parent.parent
STEP = re.compile(r'step (\d+)/')


def seconds_of_steps(checkout: pathlib.Path, devices: int) -> list[float]:
    """Seconds from the start of a run to each of its steps; as many as it took within the limit."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            'train.py',
            f'--data_dir={pathlib.Path(FLAGS.data_dir).absolute()}',
            f'--train_split={FLAGS.split}',
            f'--model_dir={folder}/run',
            f'--model={FLAGS.model}',
            f'--batch_size={FLAGS.batch_size}',
            f'--cpu_devices={devices}',
            f'--num_steps={FLAGS.num_steps}',
            '--nomulti_scale',
            '--nojit_compile',
            '--log_every=1',
            *(f'--{each}' for each in FLAGS.more),
        ]
        since, ends = time.perf_counter(), []
        process = subprocess.Popen(command, cwd=checkout, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        watchdog = threading.Timer(FLAGS.limit, process.kill)
        watchdog.start()
        lines = []
        for line in process.stderr or ():
            lines.append(line)
            if STEP.search(line):
                ends.append(time.perf_counter() - since)
        if process.wait() and watchdog.is_alive():
            raise RuntimeError(''.join(lines[-20:]))
        watchdog.cancel()
        return ends


def main(_) -> None:
    """Runs all in turn and prints."""
    checkouts = {'this': ROOT} | ({'before': pathlib.Path(FLAGS.before)} if FLAGS.before else {})
    first: dict[tuple[str, int], list[float]] = {}
    later: dict[tuple[str, int], list[float]] = {}
    for _ in range(FLAGS.rounds):
        for devices in map(int, FLAGS.devices):
            for name, checkout in checkouts.items():
                ends = seconds_of_steps(checkout, devices) or [FLAGS.limit]
                steps = [end - begin for begin, end in itertools.pairwise(ends[1:])]
                first.setdefault((name, devices), []).append(ends[0])
                later.setdefault((name, devices), []).extend(steps)
                print(
                    f'{name}, {devices} devices: first step after {ends[0]:.1f} s, then {[round(s, 2) for s in steps]}',
                    flush=True,
                )
    for name in checkouts:
        one = (name, int(FLAGS.devices[0]))
        for devices in map(int, FLAGS.devices):
            start, step = (
                statistics.median(first[name, devices]),
                statistics.median(later[name, devices] or [float('nan')]),
            )
            ratios = start / statistics.median(first[one]), step / statistics.median(later[one] or [float('nan')])
            print(
                f'{name}, {devices} devices: start {start:.1f} s ({ratios[0]:.2f} x), '
                f'step {step:.2f} s ({ratios[1]:.2f} x)'
            )


if __name__ == '__main__':
    app.run(main)
