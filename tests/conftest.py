"""Fixtures of all tests: two logical CPU devices, and a small folder of records made on the spot."""

import hashlib
import os
import pathlib
import resource
import signal
import struct
import subprocess
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Without XLA, sums that several threads share can differ in the last bit on a busy machine; processes inherit this.
os.environ.setdefault('TF_NUM_INTRAOP_THREADS', '1')

import numpy as np
import pytest
import tensorflow as tf

from yolo.data import grey, images, records, tfrecord
from yolo.geometry.targets import encode_targets

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
tf.config.set_visible_devices([], 'GPU')

ROOT = pathlib.Path(__file__).parent.parent
DATA = pathlib.Path(__file__).parent / 'data'
SMALL = str(DATA / 'small.cfg')  # a network that is built fast: four convolutions
REALDATA = ROOT.parent / 'shared' / 'data'
ANCHORS = ((0.5, 0.5), (1.0, 1.5), (1.6, 0.8))
CLASSES = ('bright', 'dark')
# width, height, best anchor, IoU: what the Keras notebook prints for its anchors.
NOTEBOOK_TABLE = [
    (0.1, 0.1, 0, 0.63),
    (0.1, 0.3, 0, 0.38),
    (0.1, 0.5, 1, 0.42),
    (0.1, 0.7, 1, 0.35),
    (0.3, 0.1, 0, 0.25),
    (0.3, 0.3, 1, 0.57),
    (0.3, 0.5, 3, 0.57),
    (0.3, 0.7, 3, 0.65),
    (0.5, 0.1, 1, 0.19),
    (0.5, 0.3, 3, 0.44),
    (0.5, 0.5, 3, 0.70),
    (0.5, 0.7, 3, 0.75),
    (0.7, 0.1, 1, 0.16),
    (0.7, 0.3, 3, 0.37),
    (0.7, 0.5, 2, 0.56),
    (0.7, 0.7, 2, 0.78),
]


# Files whose tests run OpenVINO. TensorFlow's training has crashed in a process in which OpenVINO 2026.4 had computed
# a file with suppression inside, so that `make` runs these in processes of their own.
OPENVINO_FILES = ('test_onnx.py', 'test_onnx_backends.py')


def pytest_collection_modifyitems(items):
    """Skips, with a reason, what needs the real datasets where they are missing; marks what runs OpenVINO."""
    for item in items:
        if item.path.name in OPENVINO_FILES or 'openvino' in item.nodeid:
            item.add_marker(pytest.mark.openvino)
    if not REALDATA.is_dir():
        for item in items:
            if item.get_closest_marker('realdata'):
                item.add_marker(pytest.mark.skip(reason=f'the real datasets are not in {REALDATA}'))


def encode_jpeg(image: np.ndarray, quality: int) -> bytes:
    """The bytes of a JPEG of an image (H, W, 3) uint8 RGB."""
    return images.encode_bgr_jpeg(np.ascontiguousarray(image[..., ::-1]), quality)


def turned_photo(image: np.ndarray, turn: int) -> bytes:
    """The bytes of a JPEG of an image (H, W, 3) uint8 RGB as it is stored, with an EXIF orientation 1..8."""
    data = encode_jpeg(image, 100)
    exif = b'Exif\0\0II*\0' + struct.pack('<IHHHIHxxI', 8, 1, 0x0112, 3, 1, turn, 0)
    return data[:2] + b'\xff\xe1' + struct.pack('>H', 2 + len(exif)) + exif + data[2:]


def digests(folder: pathlib.Path) -> dict[str, str]:
    """Checksums of all files in a folder, by their paths there."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file()
    }


def yolo_on_a_full_disk(limit: int, *words: str) -> subprocess.CompletedProcess:
    """Runs `python -m yolo` with these words in a process whose files can have no more than `limit` bytes."""
    return subprocess.run(
        [sys.executable, '-m', 'yolo', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        check=False,
    )


def end_at(patch: pytest.MonkeyPatch, last: int, sent: signal.Signals = signal.SIGTERM) -> None:
    """Sends this process a signal once it has taken a step of training."""
    from yolo.training import progress

    add = progress.Progress.add

    def added(self, step, metrics, seconds_waited):
        add(self, step, metrics, seconds_waited)
        if step + len(metrics) == last:
            os.kill(os.getpid(), sent)

    patch.setattr(progress.Progress, 'add', added)


def make_image(rng: np.random.Generator, size: int, num_boxes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A noisy picture with bright and dark rectangles: image (size, size, 3) uint8, boxes (N, 4) relative, labels."""
    image = rng.integers(90, 150, (size, size, 3), dtype=np.uint8)
    low = rng.integers(0, size - 20, (num_boxes, 2))
    high = np.minimum(low + rng.integers(12, 36, (num_boxes, 2)), size)
    labels = rng.integers(0, 2, num_boxes)
    for (x0, y0), (x1, y1), label in zip(low, high, labels, strict=True):
        image[y0:y1, x0:x1] = 20 if label else 235
    return image, np.concatenate([low, high], 1).astype(np.float32) / size, labels


def write_manifest(folder) -> None:
    """A manifest of the files of records that are in a folder."""
    shards = {}
    for path in sorted(pathlib.Path(folder).glob('*.tfrecord-*')):
        with open(path, 'rb') as file:
            num_images = sum(1 for _ in tfrecord.unframe(file, str(path)))
        shards[path.name] = records.ShardFile(num_images, *records.checksum(str(path)))
    records.write_manifest(str(folder), records.Manifest({}, shards))


def write_records(
    folder, num_images: int = 8, size: int = 96, num_shards: int = 2, seed: int = 0, channels: int = 3
) -> str:
    """Writes splits `train` and `test` of pictures with 0 to 4 rectangles; returns the folder."""
    rng = np.random.default_rng(seed)
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    grid, splits = (size // 32, size // 32), {}
    for split in ('train', 'test'):
        counts = [i % 5 for i in range(num_images)]
        all_labels = []
        for shard in range(num_shards):
            with tf.io.TFRecordWriter(records.shard_path(str(folder), split, shard, num_shards)) as writer:
                for i in range(shard, num_images, num_shards):
                    image, boxes, labels = make_image(rng, size, counts[i])
                    stored = grey.to_channels(np.ascontiguousarray(image[..., ::-1]), channels, is_bgr=True)
                    data = images.encode_bgr_jpeg(stored, 95)
                    places = encode_targets(boxes, labels, ANCHORS, grid).numpy()
                    writer.write(
                        records.serialize(
                            records.Record(
                                f'{split}_{i}', data, (2 * size, 3 * size), boxes, labels, np.zeros_like(labels), places
                            )
                        )
                    )
                    all_labels.extend(labels)
        per_class = {name: int(np.sum(np.equal(all_labels, k))) for k, name in enumerate(CLASSES)}
        splits[split] = records.Split(num_images, num_shards, sum(counts), 0, per_class, max(counts), 0, 0)
    write_manifest(folder)
    about = records.Description(CLASSES, (size, size), ANCHORS, 'test', 0.5, 95, splits, 'test', channels=channels)
    records.write_description(str(folder), about)
    return str(folder)


@pytest.fixture(scope='session')
def records_dir(tmp_path_factory) -> str:
    """A folder of records with splits `train` and `test` of 8 images of 96 x 96."""
    return write_records(tmp_path_factory.mktemp('records'))
