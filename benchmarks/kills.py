"""A run of train.py that is killed again and again, against one that nobody disturbed.

  python benchmarks/kills.py --data_dir=data/voc256 --kills=20 --num_steps=200 -- --model=yolov2-tiny --width=0.25

What follows -- goes to train.py. The first run is left alone; the second gets SIGKILL soon after so many random steps,
every other time as soon as it saves from then on, and each time the same command again. Prints where it was killed, how
many kills hit a living process and how many of these a save, and the checksum of everything in the last checkpoint of
each, and in the best; exit status 1 if they differ.
"""

import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import app, flags

from yolo.models import checkpoint_files, model_folder

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.')
flags.DEFINE_integer('kills', 20, 'How often the second run is killed.')
flags.DEFINE_integer('num_steps', 200, 'Steps of both.')

ROOT = pathlib.Path(__file__).parent.parent
STEP = re.compile(r'step (\d+)/')


def start(command: Sequence[str], program: Sequence[str] = ('train.py',), **options) -> subprocess.Popen:
    """Starts train.py with these flags, with a log line for every step."""
    return subprocess.Popen(
        [sys.executable, *program, *command, '--log_every=1'],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def lines_until(process: subprocess.Popen, step: int) -> list[str]:
    """The lines that a process prints until it has taken a step, or until its end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        match = STEP.search(line)
        if match and int(match.group(1)) >= step:
            break
    return lines


def wait_for_a_save(process: subprocess.Popen, model_dir: str) -> None:
    """Returns once a process is writing a checkpoint, or has ended."""
    while process.poll() is None and not unfinished(model_dir):
        time.sleep(0.0002)  # such a save takes some milliseconds


def unfinished(model_dir: str) -> list[str]:
    """The folders in which checkpoints are being written, or were when their process was killed."""
    return [str(path) for path in pathlib.Path(model_dir).glob('*/*_temp')]


def killed_at(command: Sequence[str], step: int, wait: float, saving: str = '', **options) -> tuple[list[str], bool]:
    """Starts a run and kills it so many seconds after a step, or after it began to save in the folder `saving`.

    Returns what it printed until then, and whether it was still alive.
    """
    process = start(command, **options)
    lines = lines_until(process, step)
    reader = threading.Thread(target=process.communicate)  # lest a full pipe holds it up
    reader.start()
    if saving:
        wait_for_a_save(process, saving)
    time.sleep(wait)
    process.kill()
    reader.join()
    return lines, process.returncode == -signal.SIGKILL


def saving(model_dir: str) -> str:
    """The checkpoint that is being written, '' between two saves."""
    return ' '.join(path.name for path in pathlib.Path(model_dir).glob('checkpoints/*_temp'))


def saving_best(model_dir: str) -> str:
    """The same for the best one."""
    return ' '.join(path.name for path in pathlib.Path(model_dir).glob('best/*_temp'))


def evaluating(model_dir: str, every: int) -> str:
    """The newest checkpoint if an evaluation follows it, so many steps after the last one; else ''."""
    try:
        named = pathlib.Path(model_folder.latest_folder(model_dir), 'checkpoint').read_text().splitlines()[0]
    except (FileNotFoundError, IndexError):  # not there yet
        return ''
    return named if int(named.rpartition('-')[2].strip('"')) % every == 0 else ''


def killed_when(command: Sequence[str], moment: Callable[[], str], skip: int, wait: float, **options) -> bool:
    """Starts a run and kills it so many seconds after a moment has come that is not one of the first `skip`.

    moment: what is going on, '' for nothing. Returns whether the process was still alive.
    """
    before = moment()
    process = start(command, **options)
    reader = threading.Thread(target=process.communicate)  # lest a full pipe holds it up
    reader.start()
    while process.poll() is None:
        now = moment()
        skip -= bool(now and now != before)
        before = now
        if skip < 0:
            time.sleep(wait)
            break
        time.sleep(0.0002)  # a save takes some milliseconds
    process.kill()
    reader.join()
    return process.returncode == -signal.SIGKILL


def left_behind(model_dir: str) -> list[str]:
    """What a kill left of a save that was not finished: parts, lone files, checkpoints that nothing lists yet."""
    left = []
    for folder in (model_folder.latest_folder(model_dir), model_folder.best_folder(model_dir)):
        names = checkpoint_files.list_names(folder)
        left += [*names.temporary, *names.lone]
        listed = checkpoint_files.read_hint(folder) or []
        paths = [checkpoint_files.path_of(folder, step) for step in names.pairs]
        left += [f'{path} is not listed' for path in paths if path not in listed]
    return left


def finished(command: Sequence[str]) -> list[str]:
    """Starts a run and waits for its end; RuntimeError if it fails."""
    process = start(command)
    text = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(text)
    return text.splitlines()


def resumed(lines: Sequence[str]) -> str:
    """The checkpoint from which a run went on, as it said."""
    matches = map(re.compile(r'(?:going on from|finished already:) .*/ckpt-(\d+)').search, lines)
    return next((match.group(1) for match in matches if match), 'the beginning')


def kill_again_and_again(command: Sequence[str], model_dir: str) -> tuple[int, int]:
    """Kills a run --kills times; returns how many kills hit a living process, and how many of these a save."""
    rng = np.random.default_rng()
    steps = np.sort(rng.choice(np.arange(1, FLAGS.num_steps), FLAGS.kills, replace=False)).tolist()
    hits = saves = 0
    for number, step in enumerate(steps):
        at_a_save = number % 2 == 1
        lines, hit = killed_at(
            command, step, rng.uniform(0, 0.002 if at_a_save else 0.5), model_dir if at_a_save else ''
        )
        taken = max((int(number) for number in STEP.findall('\n'.join(lines))), default=0)
        left = unfinished(model_dir)
        hits, saves = hits + hit, saves + (hit and bool(left))
        how = 'killed while saving' if hit and left else 'killed' if hit else 'ended by itself'
        print(f'{how}, last line of step {taken}; it had gone on from {resumed(lines)}', flush=True)
    return hits, saves


def main(argv: list[str]) -> None:
    """Runs both and prints."""
    folder = tempfile.mkdtemp()
    command = [f'--data_dir={FLAGS.data_dir}', f'--num_steps={FLAGS.num_steps}', '--checkpoint_every=7', *argv[1:]]
    finished([*command, f'--model_dir={folder}/whole'])
    killed = f'{folder}/killed'
    hits, saves = kill_again_and_again([*command, f'--model_dir={killed}'], killed)
    print(f'the last one goes on from {resumed(finished([*command, f"--model_dir={killed}"]))}')
    print(f'{hits} of {FLAGS.kills} kills hit, {saves} of these while saving')
    whole, after_kills = (checksums(f'{folder}/{name}') for name in ('whole', 'killed'))
    print(f'undisturbed  {whole}\nkilled       {after_kills}\n{"equal" if whole == after_kills else "they differ"}')
    if whole != after_kills or unfinished(killed):
        sys.exit(f'both runs are kept in {folder}')
    shutil.rmtree(folder)


def checksums(model_dir: str) -> str:
    """Of the last checkpoint, and of the best one where there is one."""
    last = model_folder.checksum(f'{model_folder.latest_folder(model_dir)}/ckpt-{FLAGS.num_steps}')
    if not pathlib.Path(model_folder.best_folder(model_dir)).exists():
        return last
    return f'{last}, best {model_folder.checksum(model_folder.find_checkpoint(model_dir, "best"))}'


if __name__ == '__main__':
    app.run(main)
