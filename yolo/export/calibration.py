"""The images that show an int8 model the range of its numbers."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import grey, images, records, tfrecord

INPUT_TYPES = ('uint8', 'int8')


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What an int8 model is made with: images (N, H, W, C) uint8 of its size, and the type that it takes."""

    images: np.ndarray
    input_type: str = 'uint8'


def check(calibration: Calibration, shape: tuple[int, int, int]) -> None:
    """ValueError if there are no images, or they are not (N, *shape) uint8, or the type is not one that there is."""
    given = calibration.images
    if given.dtype != np.uint8 or given.shape[1:] != shape or not len(given):
        raise ValueError(
            f'calibration images are {given.dtype} of shape {given.shape}: give at least one, uint8 '
            f'(N, {", ".join(map(str, shape))})'
        )
    if calibration.input_type not in INPUT_TYPES:
        raise ValueError(f'input_type {calibration.input_type!r}: not one of {", ".join(INPUT_TYPES)}')


def read_images(
    data_dir: str,
    split: str,
    number: int,
    shape: tuple[int, int, int],
    resize: str,
    num_classes: int,
    grey_range: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Images (N, *shape) uint8 of a split of records, in order and evenly spread over it; the same each time.

    number: how many, fewer with a warning if the split has fewer; shape: height, width, channels; resize, num_classes,
    grey_range: of the model, which the records must have; a grey_range of None is not known. ValueError, in one line,
    for records that do not fit it, and for damaged ones.
    """
    description = records.read_description(data_dir)
    available = description.split(split).num_images
    if not available:
        raise ValueError(f'split {split!r} of {data_dir!r} has no images to calibrate with')
    if description.resize != resize:
        raise ValueError(
            f'{data_dir!r} was made with --resize={description.resize}, but the images of the model are resized by '
            f'{resize}: calibrate with records that are made alike'
        )
    if len(description.classes) != num_classes:
        raise ValueError(
            f'{data_dir!r} has {len(description.classes)} classes ({",".join(description.classes)}), the network '
            f'{num_classes}: calibrate with the data that it was trained on'
        )
    *size, channels = shape
    of_data = description.channels, description.grey_range
    grey.check_same(data_dir, of_data, 'the network', (channels, grey_range))
    if available < number:
        logging.warning('calibration: split %r of %r has only %d of %d images', split, data_dir, available, number)
    count = min(available, number)
    chosen = set((np.arange(count) * available // count).tolist())
    read = _read(data_dir, split, description, chosen)
    return np.stack([each if each.shape == shape else images.resize(each, (size[0], size[1])) for each in read])


def _read(data_dir: str, split: str, description: records.Description, chosen: set[int]) -> Iterator[np.ndarray]:
    """The images of a split whose numbers are chosen, as they are stored."""
    number, stored = 0, description.stored_size(split)
    if stored != description.image_size:
        logging.info('calibration: images of %r are stored at %d x %d and resized once more', split, *stored[::-1])
    for path in records.shard_paths(data_dir, split, description):
        with storage.reader(path) as file:
            for serialized in tfrecord.unframe(file, path):
                if number in chosen:
                    yield _decode(serialized, f'{path}, image {number} of the split', description, stored)
                number += 1


def _decode(serialized: bytes, place: str, description: records.Description, size: tuple[int, int]) -> np.ndarray:
    try:
        image = records.deserialize(serialized).image
        return images.decode_stored(image, description.image_format, size, description.channels)
    except ValueError as error:
        raise ValueError(f'{place}: {error}') from error
