"""The records of a VOC folder against its XML, by a slow reader that shares no code with preprocessing.

  python benchmarks/voc_counts.py --voc_dir=VOCfold --data_dir=data/voc256

Checks that each record, made with --resize=stretch, has the names, boxes and difficult flags of the objects that are
direct children of its XML, in their order, and nothing of their parts. Prints the parts; the objects of each class; and
for the first split the objects that have their cell and anchor in common with a later one of their image, and those
under a cell and under 8 pixels.
"""

import collections
import math
import pathlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from absl import app, flags

from yolo.data import records, tfrecord

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'VOC folder.', required=True)
flags.DEFINE_string('data_dir', None, 'Folder of its records.', required=True)

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
CLOSE = 1e-6  # of the image's side: boxes are stored as float32
Object = tuple[str, list[float], bool]  # name, box relative to the image, difficult


def read_xml(path: pathlib.Path, parts: collections.Counter) -> list[Object]:
    """The objects of an XML; counts their parts by name."""
    root = ET.parse(path).getroot()
    width, height = (float(root.findtext(f'size/{side}', '')) for side in ('width', 'height'))
    found = []
    for each in [child for child in root if child.tag == 'object']:
        children = {child.tag: child for child in reversed(each)}  # the first of each tag
        parts.update(child.findtext('name') for child in each if child.tag == 'part')
        sides = {child.tag: float(child.text or '') for child in children['bndbox']}
        xmin, ymin, xmax, ymax = (sides[side] for side in SIDES)
        box = [(xmin - 1) / width, (ymin - 1) / height, xmax / width, ymax / height]
        found.append((children['name'].text or '', box, children['difficult'].text == '1'))
    return found


def read_records(data_dir: str, split: str, classes: tuple[str, ...]) -> Iterator[tuple[str, list[Object]]]:
    """The id and the objects of each record of a split."""
    for path in records.shard_paths(data_dir, split, records.read_description(data_dir)):
        with open(path, 'rb') as file:
            for record in map(records.deserialize, tfrecord.unframe(file, path)):
                rows = zip(record.labels.tolist(), record.boxes.tolist(), record.difficult.tolist(), strict=True)
                yield record.image_id, [(classes[label], box, hard) for label, box, hard in rows]


def is_same(ours: list[Object], theirs: list[Object]) -> bool:
    """Whether the objects of a record are those of its XML."""
    if [(name, hard) for name, _, hard in ours] != [(name, hard) for name, _, hard in theirs]:
        return False
    boxes = [zip(ours[i][1], theirs[i][1], strict=True) for i in range(len(ours))]
    return all(abs(a - b) <= CLOSE for box in boxes for a, b in box)


def place(box: list[float], description: records.Description) -> tuple[int, int, int]:
    """The cell (row, column) of a box and its anchor: that of the largest IoU, both at one point."""
    (height, width), overlaps = description.image_size, []
    w, h = (box[2] - box[0]) * width / 32, (box[3] - box[1]) * height / 32
    for anchor_w, anchor_h in description.anchors:
        shared = min(w, anchor_w) * min(h, anchor_h)
        overlaps.append(shared / (w * h + anchor_w * anchor_h - shared))
    row, column = (box[1] + box[3]) / 2 * height / 32, (box[0] + box[2]) / 2 * width / 32
    return int(row), int(column), overlaps.index(max(overlaps))


def count_hard_ones(images: list[list[Object]], description: records.Description) -> dict[str, int]:
    """Objects that are lost as targets, under a cell, and under 8 pixels."""
    counts = dict.fromkeys(('lost as targets', 'under a cell', 'under 8 pixels'), 0)
    for objects in images:
        places = [place(box, description) for _, box, _ in objects]
        counts['lost as targets'] += sum(places[i] in places[i + 1 :] for i in range(len(places)))
        for _, box, _ in objects:
            height, width = description.image_size
            side = math.sqrt((box[2] - box[0]) * width * (box[3] - box[1]) * height)
            counts['under a cell'] += side < 32
            counts['under 8 pixels'] += side < 8
    return counts


def main(_) -> None:
    """Checks each record and prints the counts."""
    description = records.read_description(FLAGS.data_dir)
    parts: collections.Counter = collections.Counter()
    by_split: dict[str, list[list[Object]]] = {}
    wrong = []
    for split in description.splits:
        by_split[split] = []
        for image_id, ours in read_records(FLAGS.data_dir, split, description.classes):
            theirs = read_xml(pathlib.Path(FLAGS.voc_dir, 'Annotations', f'{image_id}.xml'), parts)
            by_split[split].append(theirs)
            wrong += [] if is_same(ours, theirs) else [image_id]
    images = [objects for split in by_split.values() for objects in split]
    print(f'{len(images):,} images; records that are not as their XML: {len(wrong)} {" ".join(wrong[:10])}')
    print(f'{parts.total():,} parts, which are no objects: {dict(parts.most_common())}')
    for name in ('all', *description.classes):
        of_class = [[hard for its, _, hard in objects if name in ('all', its)] for objects in images]
        number, num_hard = sum(map(len, of_class)), sum(map(sum, of_class))
        seen = sum(not all(flags_of_image) for flags_of_image in of_class)
        print(f'{name}: {number:,} objects, {number - num_hard:,} not difficult in {seen:,} images')
    first = next(iter(by_split))
    total = sum(map(len, by_split[first]))
    for what, number in count_hard_ones(by_split[first], description).items():
        print(f'{first}: {number:,} of {total:,} objects {what} ({number / total:.1%})')


if __name__ == '__main__':
    app.run(main)
