"""`yolo predict` on photos against a bare loop of OpenCV's reading and resizing and the same forward pass, in one run.

  python benchmarks/prediction.py --model=runs/voc --backend=openvino

Makes `--num_photos` JPEGs of 640 x 480, unless `--photos` names a folder with such, and detects in them in turn: by the
function behind the command, without and with drawing, and by the bare loop, in batches of the same size; then once by
the whole command, its start and the loading of the model included. Without `--model` it takes a yolov2-tiny with random
weights. Prints photos/s and the ratios to the bare loop, by the clock and by the time of all cores:
the medians over the rounds.
"""

import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import cv2
import in_turn
import numpy as np
from absl import app, flags

from yolo.detection.detector import Detector
from yolo.prediction import photos, sources
from yolo.prediction.stop import Stop

ANCHORS = np.array([[1.3, 1.7], [3.2, 4.0], [5.1, 8.1], [9.5, 4.8], [11.2, 10.0]])  # w, h in grid cells
FLAGS = flags.FLAGS
flags.DEFINE_string('model', None, 'What `yolo predict --model` takes; by default a yolov2-tiny with random weights.')
flags.DEFINE_string('backend', '', 'What computes the network.')
flags.DEFINE_string('photos', None, 'Folder of photos, in place of those that are made.')
flags.DEFINE_integer('num_photos', 500, 'Photos.')
flags.DEFINE_integer('batch_size', 8, 'Photos at once.')
flags.DEFINE_integer('rounds', 5, 'Rounds, each measuring all.')
flags.DEFINE_bool('command', True, 'Whether to measure the whole command too.')


def make_photos(folder: pathlib.Path, number: int) -> None:
    """JPEGs of 640 x 480 with shapes on a background that is neither plain nor pure noise, as photos are."""
    rng = np.random.default_rng(0)
    for i in range(number):
        coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
        for _ in range(6):
            x, y, side = (int(value) for value in rng.integers(20, 460, 3))
            cv2.rectangle(image, (x, y), (x + side // 3, y + side // 4), rng.integers(0, 256, 3).tolist(), cv2.FILLED)
        noise = rng.normal(0, 6, image.shape)
        cv2.imwrite(str(folder / f'{i:05d}.jpg'), np.clip(image + noise, 0, 255).astype(np.uint8))


def make_model(folder: str) -> str:
    """The folder of a yolov2-tiny for VOC's 20 classes, with random weights."""
    from yolo.models import conversion, model_folder
    from yolo.models.build import build_model

    names = tuple(f'class {i}' for i in range(20))
    model = build_model('yolov2-tiny', num_classes=20, anchors=ANCHORS)
    conversion.write_folder(model, model_folder.ModelInfo(names, 'stretch'), folder)
    return folder


def run_bare(detector: Detector, paths: list[str]) -> int:
    """Reads, resizes and computes, and nothing else; returns how many numbers came out."""
    height, width = detector.image_size
    total = 0
    for start in range(0, len(paths), detector.batch_size):
        batch = np.empty((detector.batch_size, height, width, 3), np.uint8)
        for i, path in enumerate(paths[start : start + detector.batch_size]):
            image = cv2.imread(path)
            assert image is not None, path
            batch[i] = cv2.resize(image, (width, height))
        outputs = detector.backend(batch)
        total += sum(np.asarray(value).size for value in outputs.values())
    return total


def run_command(model: str, folder: str, out_dir: str) -> None:
    """The whole command, as a process."""
    words = ['-m', 'yolo', 'predict', f'--model={model}', f'--source={folder}', f'--out_dir={out_dir}', '--write=json']
    words += [f'--batch_size={FLAGS.batch_size}', *([f'--backend={FLAGS.backend}'] if FLAGS.backend else [])]
    environment = os.environ | {'PYTHONPATH': str(pathlib.Path(__file__).parent.parent)}
    subprocess.run([sys.executable, *words], check=True, env=environment, stdout=subprocess.DEVNULL)


def timed(function: Callable) -> tuple[float, float]:
    """Seconds, and seconds of all cores together, that a call takes."""
    start, used = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - start, time.process_time() - used


def measure(functions: dict[str, Callable], number: int) -> None:
    """Prints photos/s of each, and its ratio to the bare loop, by the clock and by the time of all cores."""
    rounds = [{name: timed(function) for name, function in functions.items()} for _ in range(FLAGS.rounds)]
    for name in functions:
        speed = number / statistics.median(times[name][0] for times in rounds)
        ratios = [in_turn.spread([times['bare loop'][i] / times[name][i] for times in rounds]) for i in (0, 1)]
        print(f'{name:>22}: {speed:7.1f} photos/s, of the bare loop {ratios[0]}; per second of all cores {ratios[1]}')


def main(_) -> None:
    """Measures and prints."""
    from yolo.backends.loading import load_detector

    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder = FLAGS.photos or str(scratch / 'photos')
        if not FLAGS.photos:
            os.mkdir(folder)
            make_photos(pathlib.Path(folder), FLAGS.num_photos)
        paths = sources.find(folder).photos[: FLAGS.num_photos]
        model = FLAGS.model or make_model(str(scratch / 'model'))
        detector = load_detector(model, batch_size=FLAGS.batch_size, backend=FLAGS.backend)
        height, width = detector.image_size
        print(f'{len(paths)} photos, {width} x {height}, batch {FLAGS.batch_size}, {detector.backend.name}')

        def predict(*formats: str) -> None:
            out_dir = scratch / '-'.join(formats)
            out_dir.mkdir()
            photos.predict_photos(detector, paths, str(out_dir), Stop(), formats)
            shutil.rmtree(out_dir)

        for warm_up in range(2):
            run_bare(detector, paths[: (2 - warm_up) * FLAGS.batch_size])
        bare = {'bare loop': lambda: run_bare(detector, paths)}
        measure({**bare, 'json': lambda: predict('json'), 'json, drawn': lambda: predict('json', 'drawn')}, len(paths))
        if FLAGS.command:
            start = time.perf_counter()
            run_command(model, folder, str(scratch / 'out'))
            seconds = time.perf_counter() - start
            print(f'{"whole command, json":>22}: {len(paths) / seconds:7.1f} photos/s, {seconds:.1f} s')


if __name__ == '__main__':
    app.run(main)
