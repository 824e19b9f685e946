"""Which record of a split cannot be read: TensorFlow's errors name neither the file nor the record."""

from collections.abc import Iterator

from yolo import storage
from yolo.data import images, records, tfrecord


def has_equal_lengths(record: records.Record) -> bool:
    """Whether all lists of a record have one entry for each object, or for each ignore region."""
    objects = {len(record.boxes), len(record.labels), len(record.difficult), len(record.places)}
    return len(objects) == 1 and len(record.regions) == len(record.region_labels)


def unreadable(description: records.Description, record: records.Record, size: tuple[int, int]) -> Iterator[str]:
    """Why a record cannot be made into tensors: its lists, and the image, which is decoded for that.

    size: height, width of the stored images of its split.
    """
    lengths = {len(record.boxes), len(record.labels), len(record.difficult), len(record.places)}
    if len(lengths) > 1:
        yield f'its objects are {sorted(lengths)} in number'
    if len(record.regions) != len(record.region_labels):
        yield f'it has {len(record.regions)} ignore regions and {len(record.region_labels)} classes of them'
    if len(record.labels) > description.max_boxes:
        yield f'it has {len(record.labels)} objects, the {records.DESCRIPTION} says at most {description.max_boxes}'
    most = description.max_regions
    if len(record.regions) > most:
        yield f'it has {len(record.regions)} ignore regions, the {records.DESCRIPTION} says at most {most}'
    try:
        images.decode_stored(record.image, description.image_format, size, description.channels)
    except ValueError as error:
        yield str(error)


def find(data_dir: str, split: str) -> str:
    """The first record of a split that cannot be read, with its file, its number there and the reason; '' if all can.

    Reads and decodes the records up to it. Numbers begin with 0. ValueError if the description
    itself cannot be read.
    """
    description = records.read_description(data_dir)
    num_shards = description.split(split).num_shards
    for path in (records.shard_path(data_dir, split, i, num_shards) for i in range(num_shards)):
        found = _find_in_file(path, description, description.stored_size(split))
        if found:
            return found
    return ''


def describe(data_dir: str, split: str) -> str:
    """The same with the way out, for an error message."""
    found = find(data_dir, split)
    return found and (
        f'{found}; `python -m preprocess verify --data_dir={data_dir}` checks all records, `python -m preprocess` '
        'with --overwrite writes them again'
    )


def _find_in_file(path: str, description: records.Description, size: tuple[int, int]) -> str:
    number = 0
    try:
        with storage.reader(path) as file:
            for serialized in tfrecord.unframe(file, path):
                record = records.deserialize(serialized)
                reason = next(unreadable(description, record, size), '')
                if reason:
                    return f'{path}, record {number} ({record.image_id!r}): {reason}'
                number += 1
    except (OSError, ValueError) as error:
        return f'{path}, record {number}: {str(error).removeprefix(path).lstrip()}'
    return ''
