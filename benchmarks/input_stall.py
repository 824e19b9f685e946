"""The longest gap between two batches over three epochs, and the memory for shuffling.

  python benchmarks/input_stall.py --data_dir=data/voc416 --split=trainval --before=CHECKOUT

The step only takes the batches. Processes of this checkout and of an older one (`--before`) in turn, each with the
input of one device. Gaps are the times from one batch to the next; those up to the tenth batch of the run are its
start. Memory is the peak of the process less that of one with the smallest window: what shuffling adds to
reading and decoding. Prints for each round, and as medians over the rounds, the median gap, the longest one in all and
the longest one in the batches around an epoch's begin, and the memory.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

import peak_memory
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to read.')
flags.DEFINE_string('before', '', 'Checkout of an older version to compare with.')
flags.DEFINE_integer('batch_size', 16, 'Images a batch.')
flags.DEFINE_integer('epochs', 3, 'Epochs.')
flags.DEFINE_integer('rounds', 3, 'Rounds, each measuring all.')
flags.DEFINE_integer('shuffle_mb', 2048, 'Memory for shuffling in MB.')
flags.DEFINE_bool('augment', False, 'Draw augmentations.')
flags.DEFINE_enum('measure', '', ['', 'window', 'smallest'], 'Measure with such a window and print JSON.')

START, AROUND = 10, 3  # batches


def measure(small: bool) -> dict[str, float]:
    """Goes through the epochs in this process: seconds of the gaps, bytes of the peak."""
    from yolo.data import augment, pipeline, records

    window: dict[str, Any] = {}
    if not hasattr(pipeline, 'WINDOW_BYTES'):
        window = {'shuffle_mb': 16 if small else FLAGS.shuffle_mb}
    elif small:  # before --shuffle_mb
        pipeline.WINDOW_BYTES = 16 * 10**6
    ranges = augment.Ranges() if FLAGS.augment else None
    num_images = records.read_description(FLAGS.data_dir).split(FLAGS.split).num_images
    count = FLAGS.epochs * num_images // FLAGS.batch_size
    peak_memory.reset()
    batches = pipeline.training_batches(FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, 0, ranges, **window)
    times = []
    for _ in batches.take(count):
        times.append(time.perf_counter())
    gaps = [after - before for before, after in zip(times[START:], times[START + 1 :], strict=False)]
    begins = [epoch * num_images // FLAGS.batch_size - START for epoch in range(1, FLAGS.epochs)]
    around = [gap for begin in begins for gap in gaps[begin - AROUND : begin + AROUND]]
    return {'median': statistics.median(gaps), 'longest': max(gaps), 'begin': max(around), 'peak': peak_memory.peak()}


def run(checkout: str, window: str) -> dict[str, float]:
    """The same in a process of its own, with the code of a checkout."""
    arguments = [
        f'--{name}={getattr(FLAGS, name)}' for name in ('data_dir', 'split', 'batch_size', 'epochs', 'augment')
    ]
    command = [sys.executable, __file__, *arguments, f'--shuffle_mb={FLAGS.shuffle_mb}', f'--measure={window}']
    environment = os.environ | {'PYTHONPATH': checkout, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def describe(found: dict[str, float]) -> str:
    """The gaps as text."""
    median, longest, begin = (1e3 * found[name] for name in ('median', 'longest', 'begin'))
    return (
        f"median gap {median:.1f} ms, longest {longest:.0f} ms ({longest / median:.1f} x), at an epoch's begin "
        f'{begin:.0f} ms ({begin / median:.1f} x), memory for shuffling {found["memory"] / 1e6:.0f} MB'
    )


def main(_) -> None:
    """Measures in turn and prints."""
    if FLAGS.measure:
        print(json.dumps(measure(small=FLAGS.measure == 'smallest')))
        return
    here = str(pathlib.Path(__file__).resolve().parent.parent)
    checkouts = {'now': here} | ({'before': FLAGS.before} if FLAGS.before else {})
    smallest = {name: run(checkout, 'smallest')['peak'] for name, checkout in checkouts.items()}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for number in range(FLAGS.rounds):
        for name, checkout in checkouts.items():
            found = run(checkout, 'window')
            rounds[name].append(found | {'memory': found['peak'] - smallest[name]})
            print(f'round {number}, {name}: {describe(rounds[name][-1])}')
    for name, measured in rounds.items():
        medians = {key: statistics.median(each[key] for each in measured) for key in measured[0]}
        print(f'{name}: {describe(medians)}')


if __name__ == '__main__':
    app.run(main)
