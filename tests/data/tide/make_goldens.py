"""Writes cases.json beside it: random objects and detections, and the errors and costs that tidecv finds in them.

  python3 -m venv tide && tide/bin/pip install tidecv==1.0.1 && tide/bin/python tests/data/tide/make_goldens.py

Needs an environment of its own, since tidecv brings another OpenCV. Left out is what tidecv defines otherwise than the
VOC devkit: difficult objects, equal scores, and detections that match two objects of their class.
"""

import json
import pathlib

import numpy as np
from tidecv import TIDE, Data

NAMES = {
    'Cls': 'class',
    'Loc': 'localisation',
    'Both': 'both',
    'Dupe': 'duplicate',
    'Bkg': 'background',
    'Miss': 'missed',
}
# Seed, classes, images, images that have objects, objects, detections.
CASES = ((0, 3, 10, 8, 40, 110), (1, 6, 25, 22, 90, 220), (2, 2, 4, 4, 30, 90))


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (N, M) of boxes (N, 4) and (M, 4) in VOC pixels, both ends included."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low + 1, 0), 2)
    areas = [np.prod(each[:, 2:] - each[:, :2] + 1, 1) for each in (boxes, others)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def draw(seed: int, num_classes: int, num_images: int, num_with_objects: int, num: int, num_detections: int):
    """Rows [image, class, box] of objects, and [image, class, box, score] of detections near them and elsewhere."""
    rng = np.random.default_rng(seed)
    low = rng.integers(1, 150, (num, 2))
    boxes = np.concatenate([low, low + rng.integers(15, 60, (num, 2))], 1).astype(float)
    images, classes = rng.integers(0, num_with_objects, num), rng.integers(0, num_classes, num)
    scores = rng.permutation(num_detections) / num_detections  # no two are equal
    detections = []
    while len(detections) < num_detections:
        source = rng.integers(num)
        box = boxes[source] + rng.normal(0, rng.choice([1, 8, 20]), 4)
        box[2:] = np.maximum(box[2:], box[:2] + 3)
        box = box.round(2)
        k = classes[source] if rng.random() < 0.7 else rng.integers(num_classes)
        image = images[source] if rng.random() < 0.9 else rng.integers(num_images)
        if np.sum(iou(box[None], boxes[(images == image) & (classes == k)]) >= 0.5) < 2:
            detections.append([int(image), int(k), *box.tolist(), float(scores[len(detections)])])
    objects = [[int(i), int(k), *box.tolist()] for i, k, box in zip(images, classes, boxes, strict=True)]
    return objects, detections


def as_coco(box: list[float]) -> list[float]:
    """x, y, width, height from 0, of a box in VOC pixels."""
    return [box[0] - 1, box[1] - 1, box[2] - box[0] + 1, box[3] - box[1] + 1]


def judge(objects: list[list], detections: list[list], num_images: int) -> dict:
    """What tidecv says: the type of each detection's error, the objects that were missed, and the costs."""
    truth, found = Data('truth', max_dets=10**6), Data('detections', max_dets=10**6)
    for image in range(num_images):
        truth.add_image(image, str(image))
    for image, k, *box in objects:
        truth.add_ground_truth(image, k, as_coco(box))
    for image, k, *box, score in detections:
        found.add_detection(image, k, score, as_coco(box))
    run = TIDE().evaluate(truth, found, mode=TIDE.BOX)
    types, targets, missed = [None] * len(detections), [None] * len(detections), []
    for error in run.errors:
        name = NAMES[error.short_name]
        if name == 'missed':
            missed.append(error.get_id())
            continue
        types[error.get_id()] = name
        if name in ('class', 'localisation'):
            targets[error.get_id()] = error.gt['_id']
    costs = {NAMES[kind.short_name]: cost / 100 for kind, cost in run.fix_main_errors().items()}
    return {'types': types, 'targets': targets, 'missed': sorted(missed), 'costs': costs, 'map': run.ap / 100}


def main() -> None:
    """Writes the file."""
    cases = []
    for seed, num_classes, num_images, *rest in CASES:
        objects, detections = draw(seed, num_classes, num_images, *rest)
        expected = judge(objects, detections, num_images)
        cases.append({'num_classes': num_classes, 'objects': objects, 'detections': detections, **expected})
        print(
            seed, {name: expected['types'].count(name) for name in NAMES.values()}, expected['costs'], expected['map']
        )
    text = ',\n'.join(json.dumps(case) for case in cases)
    pathlib.Path(__file__).with_name('cases.json').write_text(f'[{text}]\n')


if __name__ == '__main__':
    main()
