"""The objects of all images of a split, read from its records without the images, which are nearly all of the bytes."""

from typing import BinaryIO

import numpy as np

from yolo import storage
from yolo.data import damage, index, records, sampling, tf_example, tfrecord

HEAD_BYTES = 64  # of a record: more than what comes before the bytes of its image
FIELD = b'\x0a'  # protobuf's tag of a field number 1 that has a length: features; one of them; its name
NOT_OURS = 'not a tf.train.Example of this project'


def read_repeats(data_dir: str, split: str, threshold: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The repeat factors of the records of a split (N,) int64, in units of 1 / sampling.ONE, and of its classes (C,).

    threshold: as of `sampling.class_factors`. ValueError for a damaged record or a split that is none.
    """
    description = records.read_description(data_dir)
    owners, labels = read_labels(data_dir, split)
    num_images, num_classes = description.split(split).num_images, len(description.classes)
    of_classes = sampling.class_factors(sampling.class_shares(owners, labels, num_images, num_classes), threshold)
    return sampling.in_units(sampling.repeat_factors(owners, labels, num_images, of_classes)), of_classes


def read_labels(data_dir: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The number of the record (K,) int64 and the class (K,) int64 of each object of a split; see `read_objects`."""
    return read_objects(data_dir, split)[:2]


def read_objects(data_dir: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The number of the record (K,) int64, the class (K,) int64 and the box (K, 4) float32 of each object of a split.

    Boxes are xmin, ymin, xmax, ymax, relative 0..1. ValueError, with file and record, for a record that is damaged
    there; its checksum is of its image too and is not compared.
    """
    description = records.read_description(data_dir)
    found = index.read_index(data_dir, split, description)
    owners: list[int] = []
    labels: list[int] = []
    boxes: list[float] = []
    for file, path in enumerate(found.paths):
        numbers = np.flatnonzero(found.files == file).tolist()
        with storage.reader(path) as opened:
            for number in numbers:
                try:
                    own, own_boxes = _objects_of(opened, int(found.offsets[number]), int(found.num_bytes[number]))
                    _check(own, own_boxes, len(description.classes))
                except ValueError as error:
                    place = f'{path}, record {number - numbers[0]}'
                    raise ValueError(damage.describe(data_dir, split) or f'{place}: {error}') from error
                owners += [number] * len(own)
                labels += own
                boxes += own_boxes
    return np.array(owners, np.int64), np.array(labels, np.int64), np.array(boxes, np.float32).reshape(-1, 4)


def _check(labels: list[int], boxes: list[float], num_classes: int) -> None:
    if len(boxes) != 4 * len(labels):
        raise ValueError(f'{len(labels)} objects have boxes of {len(boxes)} numbers')
    wrong = next((label for label in labels if not 0 <= label < num_classes), None)
    if wrong is not None:
        raise ValueError(f'the label {wrong} is not one of the {num_classes} classes')


def _objects_of(file: BinaryIO, offset: int, num_bytes: int) -> tuple[list[int], list[float]]:
    """Labels (K) and boxes (4 K) of the record whose frame begins at an offset of a file; ValueError if damaged."""
    begin, end = offset + tfrecord.HEAD_BYTES, offset + num_bytes - tfrecord.TAIL_BYTES
    file.seek(begin)
    head = file.read(min(HEAD_BYTES, end - begin))
    skipped = begin + _end_of_image(head, end - begin)
    if skipped > end:
        raise ValueError('its image has more bytes than the record')
    file.seek(skipped)
    return tf_example.parse(file.read(end - skipped), records.LABEL, records.BOX)


def _end_of_image(head: bytes, num_bytes: int) -> int:
    """Where in a record of so many bytes, of which these are the first, the features behind its image begin.

    If another feature is the first one, it is where that one begins. (Protobuf: Encoding.)
    """
    total, first = _read_length(head, 0)  # of all features
    if first + total != num_bytes:
        raise ValueError(NOT_OURS)
    length, name = _read_length(head, first)  # of the first feature
    name_length, begin = _read_length(head, name)
    is_image = head[begin : begin + name_length] == records.IMAGE.encode()
    return name + length if is_image else first


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    """The length of what the field here holds, and where that begins; ValueError if it is no such field."""
    if data[at : at + 1] != FIELD:
        raise ValueError(NOT_OURS)
    length = shift = 0
    for position, byte in enumerate(data[at + 1 : at + 11], at + 2):
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return length, position
    raise ValueError(NOT_OURS)
