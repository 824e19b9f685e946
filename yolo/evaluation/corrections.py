"""What suspects propose, the annotations of their images as JSON for a page, and these corrected as VOC XML.

The page corrects and writes XML by itself, in JavaScript (`templates/suspects.js`); this is the same in Python.
"""

from collections.abc import Collection
from typing import Any

import numpy as np

from yolo.data import voc_xml
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.suspects import BOX, CLASS, KINDS, MISSING, Suspects

Size = tuple[int, int]  # height, width in pixels


def describe(result: EvaluationResult, found: Suspects, sizes: dict[int, Size]) -> dict[str, list]:
    """The images of suspects with their objects, and what each suspect proposes, as plain lists and numbers.

    sizes: of the images by number; images without one get no XML. A suspect has image, object (its number in the image,
    None for a missing one), name and box: those that the object is to have, both None if it is to be removed.
    """
    numbers = np.unique(found.images).tolist()
    place = {number: i for i, number in enumerate(numbers)}
    order = np.argsort(result.truth.images, kind='stable')
    first, last = (np.searchsorted(result.truth.images[order], numbers, side) for side in ('left', 'right'))
    images, number_of = [], {}
    for number, begin, end in zip(numbers, first.tolist(), last.tolist(), strict=True):
        own = order[begin:end].tolist()
        number_of.update({t: i for i, t in enumerate(own)})
        height, width = sizes.get(number, (0, 0))
        objects = [_object(result, t) for t in own]
        images.append({'id': result.image_ids[number], 'width': width, 'height': height, 'objects': objects})
    suspects = []
    for s, number in enumerate(found.images.tolist()):
        t = int(found.objects[s])
        name, box = proposal(result, found, s, sizes.get(number))
        suspects.append({'image': place[number], 'object': number_of.get(t), 'name': name, 'box': box})
    return {'images': images, 'suspects': suspects}


def _object(result: EvaluationResult, t: int) -> dict[str, Any]:
    truth = result.truth
    box = [_plain(side) for side in truth.boxes[t].tolist()]
    return {'name': result.classes[truth.classes[t]], 'difficult': int(truth.difficult[t]), 'box': box}


def _plain(side: float) -> float | int:
    return int(side) if side == int(side) else side


def proposal(
    result: EvaluationResult, found: Suspects, s: int, size: Size | None
) -> tuple[str | None, list[float | int] | None]:
    """The class and the box, in whole VOC pixels, that the object of a suspect is to have; None, None: remove it."""
    kind, t, d = KINDS[found.kinds[s]], int(found.objects[s]), int(found.detections[s])
    if kind not in (MISSING, CLASS, BOX):
        return None, None
    name = result.classes[result.detections.classes[d] if kind != BOX else result.truth.classes[t]]
    if kind == CLASS:
        return name, _object(result, t)['box']
    low, high = np.split(np.rint(result.detections.boxes[d]).astype(int), 2)
    extent = np.array(size[::-1]) if size else high
    low = np.clip(low, 1, np.maximum(extent - 1, 1))
    return name, [*low.tolist(), *np.maximum(np.minimum(high, extent), low + 1).tolist()]


def correct(described: dict[str, list], chosen: Collection[int]) -> dict[str, list[dict[str, Any]]]:
    """The objects of each image that a chosen suspect is in, corrected, by image id; chosen: numbers of suspects."""
    corrected: dict[int, list] = {}
    for s in sorted(chosen):
        suspect = described['suspects'][s]
        image = described['images'][suspect['image']]
        objects = corrected.setdefault(suspect['image'], [dict(each) for each in image['objects']])
        if suspect['object'] is None:
            objects.append({'name': suspect['name'], 'difficult': 0, 'box': suspect['box']})
        elif suspect['box'] is None:
            objects[suspect['object']]['name'] = None
        else:
            objects[suspect['object']] |= {'name': suspect['name'], 'box': suspect['box']}
    return {
        described['images'][i]['id']: [each for each in objects if each['name'] is not None]
        for i, objects in corrected.items()
    }


def format_xml(image: dict[str, Any], objects: list[dict[str, Any]]) -> bytes:
    """The VOC XML of a described image with other objects; the records know nothing else of the annotation."""
    head = {
        'filename': image['id'],
        'size': {'width': image['width'], 'height': image['height'], 'depth': 3},
        'segmented': 0,
    }
    elements = [
        {
            'name': each['name'],
            'difficult': each['difficult'],
            'bndbox': dict(zip(voc_xml.SIDES, each['box'], strict=True)),
        }
        for each in objects
    ]
    return voc_xml.format_annotation(head, elements, declaration=False)
