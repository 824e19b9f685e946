"""COCO's JSON of what was detected, piece by piece, so that no number of photos needs more memory."""

import contextlib
import json
import posixpath
from collections.abc import Callable, Iterator, Sequence

from yolo import storage
from yolo.detection.detector import PhotoDetections

DETECTIONS, IMAGES = 'coco_detections.json', 'coco_images.json'
Add = Callable[[str, tuple[int, int], PhotoDetections], None]


@contextlib.contextmanager
def coco_files(out_dir: str, classes: Sequence[str]) -> Iterator[Add]:
    """Two files of photos, which are given one by one to the function that this yields: path, height and width, result.

    coco_detections.json: a list of {image_id, category_id, bbox, score} as COCO's results are, bbox left, top, width,
    height in pixels of the upright photo, whose top left corner is 0, 0. coco_images.json says which image and category
    each number is, without annotations: pycocotools' `COCO(coco_images.json).loadRes(coco_detections.json)` reads both.
    Both numbers begin with 0, as in the files of eval.py --coco. The files are there at the end, with all their bytes.
    """
    with contextlib.ExitStack() as stack:
        detections, images = (
            stack.enter_context(storage.writer(posixpath.join(out_dir, name))) for name in (DETECTIONS, IMAGES)
        )
        categories = [{'id': number, 'name': name} for number, name in enumerate(classes)]
        images.write(f'{{"categories": {json.dumps(categories)},\n"annotations": [],\n"images": ['.encode())
        detections.write(b'[')
        num_images, separator = 0, '\n'

        def add(path: str, size: tuple[int, int], result: PhotoDetections) -> None:
            nonlocal num_images, separator
            image = {'id': num_images, 'file_name': storage.printable(path), 'width': size[1], 'height': size[0]}
            images.write(f'{"," if num_images else ""}\n{json.dumps(image)}'.encode())
            for row in _rows(num_images, result):
                detections.write(f'{separator}{json.dumps(row)}'.encode())
                separator = ',\n'
            num_images += 1

        yield add
        images.write(b'\n]}\n')
        detections.write(b'\n]\n')


def _rows(image_id: int, result: PhotoDetections) -> list[dict]:
    corners, scores = result.boxes.round(2), result.scores.astype(float).round(5).tolist()
    sides = (corners[:, 2:] - corners[:, :2]).round(2).tolist()
    return [
        {'image_id': image_id, 'category_id': k, 'bbox': [*corner, *side], 'score': score}
        for k, corner, side, score in zip(result.classes.tolist(), corners[:, :2].tolist(), sides, scores, strict=True)
    ]
