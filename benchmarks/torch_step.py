"""The training step against PyTorch's of the same network, loss and optimizer, in turn, in one run.

  python benchmarks/torch_step.py --model=yolov2 --size=416 --batch_size=8 --python=venv-of-torch/bin/python

PyTorch (`pip install torch`) may live in an environment of its own: its steps are taken by a process of that
interpreter (`torch_twin.py`), which waits while this one computes. Both have the same number of threads, the same first
weights and the same constant batch of noise; the losses of the first step show that they compute the same. Prints the
ratio of their speeds, by the clock and by processor time: medians over the rounds.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

import keras_step
import numpy as np
from absl import app, flags
from in_turn import spread

from yolo import memory
from yolo.cores import num_cores
from yolo.geometry.assignment import responsible_places

FLAGS = flags.FLAGS
flags.DEFINE_string('python', sys.executable, 'The interpreter that has PyTorch.')
flags.DEFINE_list(
    'variants',
    ['eager', 'compiled', 'eager channels_last', 'compiled channels_last'],
    'What PyTorch does: eager or compiled, in channels first or last.',
)


class Twin:
    """PyTorch's process."""

    def __init__(self, path: str):
        twin = pathlib.Path(__file__).with_name('torch_twin.py')
        command = [FLAGS.python, str(twin), path, f'--model={FLAGS.model}', f'--threads={num_cores()}']
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self, variant: str) -> dict:
        """Takes a step: its `loss`, `seconds` by the clock and `cpu_seconds`."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f'{variant}\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f'{FLAGS.python} ended with status {self._process.wait()}: has it PyTorch?')
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def timed(take) -> dict:
    """A step of this project, described as `Twin.step` does."""
    clock, processor = time.perf_counter(), time.process_time()
    loss = take()
    return {'loss': loss, 'seconds': time.perf_counter() - clock, 'cpu_seconds': time.process_time() - processor}


def main(_) -> None:
    """Measures in turn and prints."""
    memory.keep_freed_memory()  # as train.py does
    config = keras_step.config_of(FLAGS.size, precision=FLAGS.precision)
    data = keras_step.batch()
    anchors = np.array(keras_step.ANCHORS, np.float32)
    data['places'] = responsible_places(data['boxes'], data['labels'], anchors, (FLAGS.size // 32,) * 2)
    take, model = keras_step.ours(config, data)
    kernels = {str(i): np.array(layer.kernel) for i, (_, layer, _) in enumerate(model.convolutions())}
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/data.npz'
        arrays: dict[str, Any] = {'anchors': anchors, **data, **kernels}
        np.savez(path, **arrays)
        twin = Twin(path)
        for name, result in {'this': timed(take), **{each: twin.step(each) for each in FLAGS.variants}}.items():
            print(
                f'{name}: loss of the first step {result["loss"]:.5f}, taken in {result["seconds"]:.1f} s', flush=True
            )
        measure(take, twin)
        twin.close()


def measure(take, twin: Twin) -> None:
    """Prints each round and the medians of the ratios."""
    for each in FLAGS.variants:
        twin.step(each)  # whatever is made at the second step
    ratios: dict[str, list[tuple[float, float]]] = {each: [] for each in FLAGS.variants}
    for number in range(FLAGS.rounds):
        ours, words = timed(take), []
        for each in FLAGS.variants:
            theirs = twin.step(each)
            ratios[each].append(tuple(theirs[unit] / ours[unit] for unit in ('seconds', 'cpu_seconds')))
            words.append(f'{each} {theirs["seconds"]:.2f} s')
        print(f'round {number}: this {ours["seconds"]:.2f} s, ' + ', '.join(words), flush=True)
    for each, pairs in ratios.items():
        clock, processor = zip(*pairs, strict=True)
        print(f"this / PyTorch's {each}: {spread(clock)}; by processor time {spread(processor)}")


if __name__ == '__main__':
    app.run(main)
