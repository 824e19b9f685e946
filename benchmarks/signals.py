"""How long commands take to end after SIGTERM and SIGINT, by the moment at which the signal comes.

  python benchmarks/signals.py --data_dir=data/voc416 --rounds=5 -- --model=yolov2-tiny

What follows -- goes to train.py. The moments: so many seconds after its start, while TensorFlow is imported; as soon as
it has said what it will do, while the network is built, traced and compiled; and after its first step. Prints for each
the exit status, and the median and the longest time from the signal to the end; exit status 1 for a status that is not
75, or a traceback.
"""

import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.')
flags.DEFINE_integer('rounds', 5, 'Signals at each moment.')

ROOT = pathlib.Path(__file__).parent.parent
# What train.py has printed by then, and seconds after that.
MOMENTS = {
    'start': ('', 0.3),
    'import 1 s': ('', 1.0),
    'import 2 s': ('', 2.0),
    'start of the run': ('steps', 0.0),
    'network': ('steps', 1.0),
    'trace': ('steps', 3.0),
    'compile': ('steps', 6.0),
    'steps': ('step 1/', 0.0),
}


def ended(command: Sequence[str], text: str, wait: float, sent: signal.Signals) -> tuple[int, str, float]:
    """Sends a command a signal so many seconds after it printed a text ('' for its start).

    Returns its exit status, all it printed, and the seconds from the signal to its end.
    """
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    lines: list[str] = []
    while text and not (lines and text in lines[-1]):
        lines.append(process.stdout.readline())
        if not lines[-1]:
            raise RuntimeError(f'it ended before it printed {text!r}: {"".join(lines)}')
    time.sleep(wait)
    process.send_signal(sent)
    since = time.perf_counter()
    lines.append(process.communicate()[0])
    return process.returncode, ''.join(lines), time.perf_counter() - since


def main(argv: list[str]) -> None:
    """Measures and prints."""
    is_good = True
    for sent in (signal.SIGTERM, signal.SIGINT):
        for moment, (text, wait) in MOMENTS.items():
            times, statuses = [], set()
            for _ in range(FLAGS.rounds):
                with tempfile.TemporaryDirectory() as folder:
                    words = [f'--data_dir={FLAGS.data_dir}', f'--model_dir={folder}/run', '--log_every=1', *argv[1:]]
                    status, printed, seconds = ended([sys.executable, 'train.py', *words], text, wait, sent)
                times.append(seconds)
                statuses.add(status)
                is_good &= status == 75 and 'Traceback' not in printed
            shown = f'status {", ".join(map(str, sorted(statuses)))}'
            took = f'{statistics.median(times):.2f} s, at most {max(times):.2f} s'
            print(f'{sent.name}  {moment:<18} {shown}  {took}')
    if not is_good:
        sys.exit('a status is not 75, or there was a traceback')


if __name__ == '__main__':
    app.run(main)
