"""What is said where an evaluation does not take the stored images as they are."""

from absl import logging

from yolo.data.records import Description


def say(description: Description, split: str, size: tuple[int, int]) -> None:
    """Logs that images of `size`, height and width, are not exactly those that prediction sees, if they are not."""
    stored = description.stored_size(split)
    (height, width), exact = size, f'{size[1]}x{size[0]}' if size[0] != size[1] else f'{size[0]}'
    if height > stored[0] or width > stored[1]:
        logging.warning(
            'the images of %s are stored at %d x %d pixels and enlarged to %d x %d, which costs some accuracy; for an '
            'exact result evaluate on records of preprocess --image_size=%s',
            split,
            *stored[::-1],
            width,
            height,
            exact,
        )
    elif size != stored:
        logging.info(
            'the images of %s are stored at %d x %d pixels and resized once more, to %d x %d; prediction resizes a '
            'photo once, so the result differs from that on records of preprocess --image_size=%s',
            split,
            *stored[::-1],
            width,
            height,
            exact,
        )
