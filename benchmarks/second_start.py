"""How long train.py takes to its first step without --compiled_dir, with an empty one, and with what that left there.

  python benchmarks/second_start.py --data_dir=data/voc416 --split=trainval --model=yolov2

Every start is a process of its own, which takes one step. Prints the seconds by the clock until the line of that step,
those of the processor for the whole process, and the ratios to a start without the folder.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split to train on.')
flags.DEFINE_string('model', 'yolov2', 'Network.')
flags.DEFINE_integer('batch_size', 8, 'Images a step.')
flags.DEFINE_integer('rounds', 3, 'How often each is started.')

ROOT = pathlib.Path(__file__).parent.parent


def start(folder: str, compiled_dir: str) -> tuple[float, float]:
    """Takes one step in a new run: seconds by the clock until its line, and of the processor for the whole process."""
    command = [
        sys.executable,
        'train.py',
        f'--data_dir={pathlib.Path(FLAGS.data_dir).absolute()}',
        f'--train_split={FLAGS.split}',
        f'--model_dir={tempfile.mkdtemp(dir=folder)}',
        f'--model={FLAGS.model}',
        f'--batch_size={FLAGS.batch_size}',
        '--num_steps=1',
        '--nomulti_scale',
        '--log_every=1',
        *([f'--compiled_dir={compiled_dir}'] if compiled_dir else []),
    ]
    since, before = time.perf_counter(), os.times()
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    seconds, lines = 0.0, []
    for line in process.stderr:
        lines.append(line)
        if 'step 1/' in line:
            seconds = time.perf_counter() - since
    if process.wait() or not seconds:
        raise RuntimeError(''.join(lines[-20:]))
    after = os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


def main(_) -> None:
    """Starts all in turn and prints."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FLAGS.rounds):
            kept = f'{folder}/programs{number}'
            found = {
                name: start(folder, compiled_dir)
                for name, compiled_dir in (('without', ''), ('first', kept), ('second', kept))
            }
            clock, processor = found['without']
            words = [
                f'{name} {seconds:.1f} s ({seconds / clock:.2f}), processor {cpu:.1f} s ({cpu / processor:.2f})'
                for name, (seconds, cpu) in found.items()
            ]
            print(f'round {number}: ' + '; '.join(words), flush=True)


if __name__ == '__main__':
    app.run(main)
