"""The annotated objects of a split, straight from VOC's XML: for detections that came without records."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import voc_folder, voc_xml
from yolo.data.images import shrink
from yolo.evaluation.voc_matching import GroundTruth

SHOWN = 640  # pixels of the longer side of a picture


def read_truth(
    source: voc_folder.Source, list_path: str, labels: Sequence[str] = ()
) -> tuple[list[str], list[str], GroundTruth]:
    """Image ids, class names and objects of a list of images; every object as it is annotated, in order.

    labels: the classes to look at, in order; all that occur, sorted, if empty. Warns of classes without an object, of
    objects without a name, which are left out, and of boxes without area, which count and cannot be found. ValueError,
    with the file, for an annotation that is missing or not understood, or a box that is not finite; for a class that is
    given twice, and if there is no image or no class.
    """
    if len(set(labels)) < len(labels):
        raise ValueError(f'--labels={",".join(labels)} names a class twice')
    image_ids = list(dict.fromkeys(voc_folder.read_split(list_path)))
    found = [_read(source, image_id) for image_id in image_ids]
    if not image_ids:
        raise ValueError(f'{list_path} names no image')
    named = sorted({name for annotation in found for name in annotation.names if name})
    classes = list(labels) or named
    if not classes:
        raise ValueError(
            f'none of the {len(image_ids)} images of {list_path} has an object; say the classes by --labels'
        )
    for name in sorted(set(classes) - set(named)):
        logging.warning('no object is a %r; there are %s', name, ', '.join(named) or 'none')
    nameless = [image_id for image_id, annotation in zip(image_ids, found, strict=True) if '' in annotation.names]
    if nameless:
        logging.warning(
            'objects without a name are left out in %d annotations, as in %s',
            len(nameless),
            voc_folder.annotation_path(source, nameless[0]),
        )
    numbers = {name: number for number, name in enumerate(classes)}
    kept = [[numbers.get(name, -1) for name in annotation.names] for annotation in found]
    owners = np.array([number for row in kept for number in row], int)
    images = np.repeat(np.arange(len(found)), [len(row) for row in kept])
    boxes = np.concatenate([np.zeros((0, 4)), *(annotation.boxes for annotation in found)])
    difficult = np.concatenate([np.zeros(0, bool), *(annotation.difficult for annotation in found)])
    known = owners >= 0
    bad = np.flatnonzero(known & ~np.isfinite(boxes).all(1))
    if len(bad):
        path = voc_folder.annotation_path(source, image_ids[images[bad[0]]])
        raise ValueError(f'{path}: an object {classes[owners[bad[0]]]!r} has the box {boxes[bad[0]].tolist()}; mend it')
    flat = np.flatnonzero(known & (boxes[:, 2:] <= boxes[:, :2]).any(1))
    if len(flat):
        logging.warning(
            '%d objects have boxes without area, which records leave out and this counts, as the devkit '
            'does; the first is %s in %s',
            len(flat),
            boxes[flat[0]].tolist(),
            voc_folder.annotation_path(source, image_ids[images[flat[0]]]),
        )
    return image_ids, classes, GroundTruth(images[known], owners[known], boxes[known], difficult[known])


def _read(source: voc_folder.Source, image_id: str) -> voc_xml.Annotation:
    path = voc_folder.annotation_path(source, image_id)
    if not storage.exists(path):
        raise ValueError(f'no annotation {path} of the image {image_id!r} that is in the list')
    try:
        return voc_folder.read_annotation(source, image_id)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def pictures(
    source: voc_folder.Source, image_ids: Sequence[str], numbers: Sequence[int]
) -> dict[int, tuple[np.ndarray, tuple[int, int]]]:
    """Some images of a list, by number: (H, W, 3) uint8 BGR, shrunk, and their height and width; no unreadable ones."""
    shown = {}
    for number in numbers:
        try:
            annotation = voc_folder.read_annotation(source, image_ids[number])
            image, _ = voc_folder.read_image(source, image_ids[number], annotation.filename, annotation.size)
        except (ValueError, OSError) as error:
            logging.warning('no picture of %s: %s', image_ids[number], error)
            continue
        shown[number] = shrink(image, SHOWN, SHOWN), (image.shape[0], image.shape[1])
    return shown
