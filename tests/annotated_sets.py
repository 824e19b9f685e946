"""A few drawn photos with objects, and the folders that annotation tools and exports make of them."""

import dataclasses
import json
import pathlib
import re
from unittest import mock

import numpy as np
from conftest import encode_jpeg

from preprocess.__main__ import COMMAND
from yolo.cli import flags
from yolo.data import records, tfrecord

CLASSES = ('cat', 'dog', 'no')
XML = (
    '<annotation><folder>C:\\Users\\me\\old</folder><filename>{filename}</filename><path>C:\\Users\\me\\{filename}</path>'
    '<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{objects}</annotation>'
)
OBJECT = '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>'


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo: its JPEG, height and width, names (N) and boxes (N, 4) in whole VOC pixels."""

    data: bytes
    size: tuple[int, int]
    names: tuple[str, ...]
    boxes: np.ndarray


def draw(number: int, seed: int = 0) -> list[Photo]:
    """Photos of different sizes with one to four objects, some of which touch the edges."""
    rng, photos = np.random.default_rng(seed), []
    for _ in range(number):
        height, width = (int(side) for side in rng.integers(60, 140, 2))
        low = rng.integers(1, [width - 20, height - 20], (int(rng.integers(1, 5)), 2))
        low[0] = 1
        high = np.minimum(low + rng.integers(5, 60, low.shape), [width, height])
        names = tuple(CLASSES[i] for i in rng.integers(0, len(CLASSES), len(low)))
        image = rng.integers(0, 255, (height, width, 1), dtype=np.uint8).repeat(3, 2)
        photos.append(Photo(encode_jpeg(image, 90), (height, width), names, np.concatenate([low, high], 1)))
    return photos


def write(path: pathlib.Path, data: bytes | str) -> None:
    """A file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def voc_xml(photo: Photo, filename: str = 'old.jpg') -> str:
    """Its XML, with the paths of another machine."""
    objects = ''.join(OBJECT.format(name, *box) for name, box in zip(photo.names, photo.boxes.tolist(), strict=True))
    return XML.format(filename=filename, width=photo.size[1], height=photo.size[0], objects=objects)


def yolo_text(photo: Photo) -> str:
    """Its YOLO text."""
    height, width = photo.size
    rows = []
    for name, (xmin, ymin, xmax, ymax) in zip(photo.names, photo.boxes.tolist(), strict=True):
        box = ((xmin - 1 + xmax) / 2 / width, (ymin - 1 + ymax) / 2 / height)
        box += ((xmax - xmin + 1) / width, (ymax - ymin + 1) / height)
        rows.append(' '.join([str(CLASSES.index(name)), *(f'{value:.9f}' for value in box)]))
    return '\n'.join(rows)


def coco_json(photos: dict[str, Photo]) -> str:
    """COCO's JSON of photos by file name."""
    images, annotations = [], []
    for number, (name, photo) in enumerate(photos.items(), 7):
        images.append({'id': number, 'file_name': name, 'height': photo.size[0], 'width': photo.size[1]})
        for label, (xmin, ymin, xmax, ymax) in zip(photo.names, photo.boxes.tolist(), strict=True):
            box = [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1]
            row = {'id': len(annotations), 'image_id': number, 'category_id': 3 + CLASSES.index(label), 'bbox': box}
            annotations.append({**row, 'iscrowd': 0, 'area': box[2] * box[3]})
    categories = [{'id': 0, 'name': 'animals'}, *({'id': 3 + i, 'name': name} for i, name in enumerate(CLASSES))]
    return json.dumps({'info': {}, 'images': images, 'annotations': annotations, 'categories': categories})


def preprocess(capfd, out_dir: pathlib.Path, *words: str) -> tuple[int, str]:
    """Calls the command within this process, but for report.html: its exit status, and all it printed."""
    capfd.readouterr()
    try:
        with mock.patch('preprocess.report.page.write_page'):
            flags.run(
                COMMAND,
                ['preprocess', f'--out_dir={out_dir}', '--image_size=64', '--anchors=voc', '--workers=1', *words],
            )
    except SystemExit as ended:
        text = ''.join(capfd.readouterr())
        return (1, f'{ended.code}{text}') if isinstance(ended.code, str) else (int(ended.code or 0), text)
    raise AssertionError('a command ends by SystemExit')


def read_objects(out_dir: pathlib.Path) -> dict[str, dict[str, tuple[tuple[str, ...], np.ndarray]]]:
    """Names and boxes (N, 4) of each record by split and id."""
    description = records.read_description(str(out_dir))
    found: dict[str, dict] = {split: {} for split in description.splits}
    for split, images in found.items():
        for path in records.shard_paths(str(out_dir), split, description):
            with open(path, 'rb') as file:
                for record in map(records.deserialize, tfrecord.unframe(file, path)):
                    assert record.image_id not in images
                    images[record.image_id] = tuple(description.classes[i] for i in record.labels), record.boxes
    return found


def check(found: dict, expected: dict[str, Photo]) -> None:
    """Fails unless the records of a split are the photos with these ids, object by object."""
    assert sorted(found) == sorted(expected)
    for image_id, photo in expected.items():
        names, boxes = found[image_id]
        height, width = photo.size
        assert names == photo.names
        np.testing.assert_allclose(boxes, (photo.boxes - [1, 1, 0, 0]) / [width, height, width, height], atol=2e-7)


def notes(out_dir: pathlib.Path) -> list[str]:
    """What report.json says of splits as a whole."""
    problems = json.loads((out_dir / 'report.json').read_text())['problems']
    return [f'{problem["split"]}: {problem["reason"]}' for problem in problems if not problem['image_id']]


def is_said(texts: list[str], *patterns: str) -> bool:
    """Whether each pattern is in one of the texts."""
    return all(any(re.search(pattern, text) for text in texts) for pattern in patterns)
