"""Images of records for the pages of an evaluation."""

from collections.abc import Sequence

import numpy as np

from yolo.data import grey, pipeline, records
from yolo.geometry.letterbox import COLOUR, inner_pixels


def read(
    data_dir: str, split: str, numbers: Sequence[int], among: np.ndarray | None = None
) -> dict[int, tuple[np.ndarray, tuple[int, int]]]:
    """Some images of a split of records, by number: (H, W, 3) uint8 BGR as stored, and original height and width.

    among (n,): the images that were evaluated in place of the whole split, ascending, by which `numbers` count.
    """
    description = records.read_description(data_dir)
    wanted = sorted(set(numbers))
    if not wanted:
        return {}
    stored = np.array(wanted, np.int64) if among is None else among[wanted]
    canvas = description.stored_size(split), description.resize
    shown: dict[int, tuple[np.ndarray, tuple[int, int]]] = {}
    for batch in pipeline.evaluation_batches(data_dir, split, 16, numbers=stored, size=canvas[0]):
        for i in np.flatnonzero(batch['real']):
            size = batch['size'][i].numpy().tolist()
            left, top, width, height = inner_pixels(size, *canvas).tolist()
            inner = batch['image'][i].numpy()[top : top + height, left : left + width]  # without bars
            shown[wanted[len(shown)]] = grey.to_channels(inner, COLOUR)[..., ::-1], (size[0], size[1])
    return shown
