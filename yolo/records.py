"""What a folder of records holds: `dataset.json`, sharded TFRecords and the features of one record.

The writer (`preprocess`) and every reader use this module, so that neither can know a feature the other does not.
"""

import dataclasses
import json
import posixpath

import numpy as np
import tensorflow as tf

DESCRIPTION = 'dataset.json'

# The features of a record. Objects are flat lists, N of them in the order of the annotation.
IMAGE, IMAGE_ID, SIZE = 'image', 'image/id', 'image/size'  # encoded image; its id; original height, width
BOX, LABEL, DIFFICULT, PLACE = 'objects/box', 'objects/label', 'objects/difficult', 'objects/place'


@dataclasses.dataclass(frozen=True)
class Split:
    """What was written for one split: counts of images and objects, and what was left out."""

    num_images: int
    num_shards: int
    num_objects: int
    num_difficult: int
    objects_per_class: dict[str, int]
    max_boxes: int  # most objects in one image
    images_left_out: int
    boxes_left_out: int


@dataclasses.dataclass(frozen=True)
class Description:
    """What a folder of records was made with; training and evaluation read it here, never from a second flag."""

    classes: tuple[str, ...]
    image_size: tuple[int, int]  # height, width of the stored images in pixels
    anchors: tuple[tuple[float, float], ...]  # w, h in grid cells
    anchors_from: str  # how the anchors came to be: 'kmeans:5', 'voc', ...
    anchors_mean_iou: float  # of the first split's boxes with their best anchor, both at the origin
    jpeg_quality: int
    splits: dict[str, Split]
    tool_version: str

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid: one cell is 32 x 32 pixels of the stored image."""
        return self.image_size[0] // 32, self.image_size[1] // 32

    @property
    def max_boxes(self) -> int:
        """The most objects in any image of any split, at least 1."""
        return max([1, *(split.max_boxes for split in self.splits.values())])

    def split(self, name: str) -> Split:
        """The split of that name; ValueError names those that there are."""
        if name not in self.splits:
            raise ValueError(f'no split {name!r} in this folder; it has {", ".join(sorted(self.splits))}')
        return self.splits[name]


@dataclasses.dataclass(frozen=True)
class Record:
    """One image with its objects, as stored.

    image: encoded JPEG bytes; size: original (height, width) in pixels; boxes (N, 4) float32 xmin, ymin, xmax, ymax
    relative 0..1; labels (N,) index into the classes; difficult (N,) bool; places (N, 3) row, column, anchor.
    """

    image_id: str
    image: bytes
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    difficult: np.ndarray
    places: np.ndarray


def write_description(data_dir: str, description: Description) -> None:
    """Writes `dataset.json` under another name first, so that it is there whole or not at all."""
    path = posixpath.join(data_dir, DESCRIPTION)
    with tf.io.gfile.GFile(path + '.partial', 'w') as file:
        file.write(json.dumps(dataclasses.asdict(description), indent=1) + '\n')
    tf.io.gfile.rename(path + '.partial', path, overwrite=True)


def read_description(data_dir: str) -> Description:
    """Reads `dataset.json` of a folder of records; ValueError if the folder has none or it is not understood."""
    path = posixpath.join(data_dir, DESCRIPTION)
    if not tf.io.gfile.exists(path):
        raise ValueError(f'{data_dir!r} has no {DESCRIPTION}: not a folder of records, or `python -m preprocess` '
                         'did not finish there; run it (again) with this --out_dir')
    with tf.io.gfile.GFile(path) as file:
        text = file.read()
    try:
        fields = json.loads(text)
        fields['classes'] = tuple(fields['classes'])
        fields['image_size'] = tuple(fields['image_size'])
        fields['anchors'] = tuple((float(w), float(h)) for w, h in fields['anchors'])
        fields['splits'] = {name: Split(**split) for name, split in fields['splits'].items()}
        return Description(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f'{path}: not a description that this version reads ({error}); '
                         'run `python -m preprocess` again') from error


def shard_path(data_dir: str, split: str, shard: int, num_shards: int) -> str:
    """Path of one TFRecord file of a split."""
    return posixpath.join(data_dir, f'{split}.tfrecord-{shard:05d}-of-{num_shards:05d}')


def shard_paths(data_dir: str, split: str, description: Description) -> list[str]:
    """Paths of a split's TFRecord files in order; ValueError names the ones that are missing."""
    num = description.split(split).num_shards
    paths = [shard_path(data_dir, split, i, num) for i in range(num)]
    missing = [path for path in paths if not tf.io.gfile.exists(path)]
    if missing:
        raise ValueError(f'{len(missing)} of {num} shards of split {split!r} are missing, the first is {missing[0]}; '
                         'run `python -m preprocess` again')
    return paths


def serialize(record: Record) -> bytes:
    """A record as the bytes of a tf.train.Example."""

    def ints(values) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=np.asarray(values).reshape(-1).tolist()))

    def data(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    boxes = np.asarray(record.boxes, np.float32).reshape(-1).tolist()
    features = {
        IMAGE: data(record.image),
        IMAGE_ID: data(record.image_id.encode()),
        SIZE: ints(record.size),
        BOX: tf.train.Feature(float_list=tf.train.FloatList(value=boxes)),
        LABEL: ints(record.labels),
        DIFFICULT: ints(np.asarray(record.difficult, np.int64)),
        PLACE: ints(record.places),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def parse_image(serialized: tf.Tensor) -> tf.Tensor:
    """The encoded image (scalar string) of one serialized record."""
    return tf.io.parse_single_example(serialized, {IMAGE: tf.io.FixedLenFeature((), tf.string)})[IMAGE]


def parse_ids(serialized: tf.Tensor) -> tf.Tensor:
    """The image ids (B,) string of serialized records (B,)."""
    return tf.io.parse_example(serialized, {IMAGE_ID: tf.io.FixedLenFeature((), tf.string)})[IMAGE_ID]


def parse_annotations(serialized: tf.Tensor, max_boxes: int) -> dict[str, tf.Tensor]:
    """Everything but the images of serialized records (B,), padded to `max_boxes` = N objects an image.

    image_id (B,) string; size (B, 2) int32 original height, width; boxes (B, N, 4) float32 xmin, ymin, xmax, ymax
    relative 0..1, padded with 0; labels (B, N) int32, padded with -1; difficult (B, N) bool; places (B, N, 3) int32
    row, column, anchor, padded with -1. InvalidArgumentError if an image has more than `max_boxes` objects.
    """
    features = {IMAGE_ID: tf.io.FixedLenFeature((), tf.string), SIZE: tf.io.FixedLenFeature((2,), tf.int64)}
    for name, dtype in ((BOX, tf.float32), (LABEL, tf.int64), (DIFFICULT, tf.int64), (PLACE, tf.int64)):
        features[name] = tf.io.RaggedFeature(dtype)
    parsed = tf.io.parse_example(serialized, features)
    most = tf.reduce_max(parsed[LABEL].row_lengths())
    message = 'a record has more objects than its dataset.json says; run `python -m preprocess` again'
    with tf.control_dependencies([tf.debugging.assert_less_equal(most, tf.cast(max_boxes, most.dtype), message)]):
        labels = parsed[LABEL].to_tensor(-1, shape=(None, max_boxes))
    boxes = parsed[BOX].to_tensor(0.0, shape=(None, 4 * max_boxes))
    places = parsed[PLACE].to_tensor(-1, shape=(None, 3 * max_boxes))
    difficult = parsed[DIFFICULT].to_tensor(0, shape=(None, max_boxes))
    return {
        'image_id': parsed[IMAGE_ID],
        'size': tf.cast(parsed[SIZE], tf.int32),
        'boxes': tf.reshape(boxes, (-1, max_boxes, 4)),
        'labels': tf.cast(labels, tf.int32),
        'difficult': difficult > 0,
        'places': tf.cast(tf.reshape(places, (-1, max_boxes, 3)), tf.int32),
    }
