"""What a folder of records holds: `dataset.json`, `manifest.json`, TFRecord files and the features of one record.

The writer (`preprocess`, without TensorFlow) and the reader (`yolo.data.parsing`) both take the names of the features
from here, so that they cannot differ. There is no TensorFlow in this file: the offline stage's processes start without.
"""

import dataclasses
import hashlib
import json
import posixpath

import google_crc32c
import numpy as np
from google.protobuf.message import DecodeError

from yolo import descriptions, storage
from yolo.data.dataset import Description, Manifest, ShardFile, check_description, check_manifest
from yolo.data.dataset import Split as Split
from yolo.data.tf_example import Example

DESCRIPTION, MANIFEST = 'dataset.json', 'manifest.json'

# The features of a record. Those of the N objects are flat lists in the order of the annotation; the place of an
# object is its responsible cell and anchor: row, column, anchor.
IMAGE, IMAGE_ID, SIZE = 'image', 'image/id', 'image/size'  # encoded image; its id; original height, width
BOX, LABEL, DIFFICULT, PLACE = 'objects/box', 'objects/label', 'objects/difficult', 'objects/place'
# Those of the R ignore regions; a record without regions has neither. Their names come last in the record's order, so
# that the image stays first (`label_reading` skips it).
REGION, REGION_LABEL = 'regions/box', 'regions/label'
ANY_CLASS = -1
# Fields of the description that version 0.1 does not have.
LATER = ('channels', 'grey_range', 'num_regions', 'max_regions', 'stored_size')


@dataclasses.dataclass(frozen=True)
class Record:
    """One image with its objects, as stored.

    image: its bytes, encoded as the description says; size: original (height, width) in pixels; boxes (N, 4) float32
    xmin, ymin, xmax, ymax relative 0..1; labels (N,) index into the classes; difficult (N,) bool; places (N, 3) row,
    column, anchor. regions (R, 4): boxes of its ignore regions, as boxes; region_labels (R,): the class that is ignored
    there, ANY_CLASS for any.
    """

    image_id: str
    image: bytes
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    places: np.ndarray
    regions: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 4), np.float32))
    region_labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))


def write_description(data_dir: str, description: Description) -> None:
    """Writes `dataset.json`, atomically.

    Fields of LATER are left out at their defaults: the same records have the same text, and so `data_checksum`, as when
    they were made before there were these fields.
    """
    fields = _without_defaults(description)
    fields['splits'] = {name: _without_defaults(split) for name, split in description.splits.items()}
    storage.write(posixpath.join(data_dir, DESCRIPTION), json.dumps(fields, indent=1) + '\n')


def _without_defaults(value: Description | Split) -> dict:
    unset = [f.name for f in dataclasses.fields(value) if f.name in LATER and getattr(value, f.name) == f.default]
    return {name: given for name, given in dataclasses.asdict(value).items() if name not in unset}


def read_description(data_dir: str) -> Description:
    """Reads `dataset.json` of a folder of records; ValueError if the folder has none or it is not understood."""
    path = posixpath.join(data_dir, DESCRIPTION)
    if not storage.exists(path):
        raise ValueError(
            f'{data_dir!r} has no {DESCRIPTION}: not a folder of records, or `python -m preprocess` '
            'did not finish there; run it (again) with this --out_dir'
        )
    advice = 'run `python -m preprocess --overwrite`'
    return descriptions.read(path, Description, 'a description', advice, check_description)


def write_manifest(data_dir: str, manifest: Manifest) -> None:
    """Writes `manifest.json`, atomically."""
    storage.write(posixpath.join(data_dir, MANIFEST), json.dumps(dataclasses.asdict(manifest), indent=1) + '\n')


def data_checksum(data_dir: str) -> str:
    """SHA-256 of a folder's description and its shards' checksums: equal for folders with equal records."""
    read_description(data_dir)
    manifest = read_manifest(data_dir)
    shards = sorted(manifest.shards.items()) if manifest else []
    text = storage.read(posixpath.join(data_dir, DESCRIPTION)) + repr(shards).encode()
    return hashlib.sha256(text).hexdigest()


def read_manifest(data_dir: str) -> Manifest | None:
    """Reads `manifest.json` of a folder of records; None if it has none, ValueError if it is not understood."""
    path = posixpath.join(data_dir, MANIFEST)
    if not storage.exists(path):
        return None
    return descriptions.read(path, Manifest, 'a manifest', 'run `python -m preprocess --overwrite`', check_manifest)


def checksum(path: str) -> tuple[int, int]:
    """Length in bytes and CRC-32C of a file."""
    length, crc = 0, 0
    with storage.reader(path) as file:
        while piece := file.read(1 << 20):
            length, crc = length + len(piece), google_crc32c.extend(crc, piece)
    return length, crc


def shard_path(data_dir: str, split: str, shard: int, num_shards: int) -> str:
    """Path of one TFRecord file of a split."""
    return posixpath.join(data_dir, f'{split}.tfrecord-{shard:05d}-of-{num_shards:05d}')


def shard_files(data_dir: str, split: str, description: Description) -> dict[str, ShardFile]:
    """The paths of a split's TFRecord files in order, each with its entry in the manifest.

    ValueError names a file that is missing or has another length than recorded, and images that are counted otherwise
    than in the description. Only `python -m preprocess verify` reads every byte.
    """
    num, num_images = description.split(split).num_shards, description.split(split).num_images
    manifest = read_manifest(data_dir) or Manifest({}, {})
    files = {}
    for path in (shard_path(data_dir, split, i, num) for i in range(num)):
        recorded = manifest.shards.get(posixpath.basename(path))
        if not recorded:
            raise ValueError(f'{path} is not in the {MANIFEST} of its folder; run `python -m preprocess --overwrite`')
        length = storage.size(path) if storage.exists(path) else None
        if length != recorded.num_bytes:
            has = 'is missing' if length is None else f'has {length:,} bytes'
            raise ValueError(
                f'{path} {has}, the {MANIFEST} says {recorded.num_bytes:,}; run `python -m preprocess --overwrite`'
            )
        files[path] = recorded
    counted = sum(recorded.num_images for recorded in files.values())
    if counted != num_images:
        raise ValueError(
            f'{posixpath.join(data_dir, MANIFEST)} counts {counted} images in split {split!r}, the {DESCRIPTION} says '
            f'{num_images}; run `python -m preprocess --overwrite`'
        )
    return files


def shard_paths(data_dir: str, split: str, description: Description) -> list[str]:
    """The paths alone of `shard_files`, checked as there."""
    return list(shard_files(data_dir, split, description))


def serialize(record: Record) -> bytes:
    """A record as the bytes of a tf.train.Example, the same for the same record."""
    example = Example()
    features = example.features.feature
    features[IMAGE].bytes_list.value.append(record.image)
    features[IMAGE_ID].bytes_list.value.append(record.image_id.encode())
    features[BOX].float_list.value.extend(np.asarray(record.boxes, np.float32).reshape(-1).tolist())
    for name, values in (
        (SIZE, record.size),
        (LABEL, record.labels),
        (DIFFICULT, record.difficult),
        (PLACE, record.places),
    ):
        features[name].int64_list.value.extend(np.asarray(values, np.int64).reshape(-1).tolist())
    if len(record.regions):
        features[REGION].float_list.value.extend(np.asarray(record.regions, np.float32).reshape(-1).tolist())
        features[REGION_LABEL].int64_list.value.extend(np.asarray(record.region_labels, np.int64).tolist())
    return example.SerializeToString(deterministic=True)


def deserialize(serialized: bytes) -> Record:
    """The record that `serialize` turned into these bytes; ValueError if they are anything else."""
    try:
        features = Example.FromString(serialized).features.feature
    except DecodeError as error:
        raise ValueError(f'not a tf.train.Example: {error}') from error

    def ints(name: str) -> np.ndarray:
        return np.array(features[name].int64_list.value, np.int64)

    boxes, regions = (np.array(features[name].float_list.value, np.float32) for name in (BOX, REGION))
    images, ids = features[IMAGE].bytes_list.value, features[IMAGE_ID].bytes_list.value
    whole = not (len(boxes) % 4 or len(regions) % 4 or len(ints(PLACE)) % 3)
    if len(images) != 1 or len(ids) != 1 or len(ints(SIZE)) != 2 or not whole:
        raise ValueError(f'not a record of this project: it has {", ".join(sorted(features))}')
    return Record(
        ids[0].decode(),
        images[0],
        (int(ints(SIZE)[0]), int(ints(SIZE)[1])),
        boxes.reshape(-1, 4),
        ints(LABEL),
        ints(DIFFICULT) > 0,
        ints(PLACE).reshape(-1, 3),
        regions.reshape(-1, 4),
        ints(REGION_LABEL),
    )
