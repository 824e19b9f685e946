"""The annotated objects of a split, straight from VOC's XML: for detections from result files, without records."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import voc_folder, voc_xml
from yolo.data.images import shrink
from yolo.evaluation.ignore_regions import IgnoreRegions
from yolo.evaluation.voc_matching import GroundTruth, select

PICTURE_SIDE = 640  # pixels of the longer side of a picture


def read_truth(
    source: voc_folder.Source, list_path: str, labels: Sequence[str] = (), ignored: Sequence[str] = ()
) -> tuple[list[str], list[str], GroundTruth, IgnoreRegions]:
    """Image ids, class names, objects and ignore regions of a list of images; every object as annotated, in order.

    labels: the classes to evaluate, in order; all that occur, sorted, if empty; ignored: names that are none, but
    ignore regions of any class. Warns of classes without an object, of objects without a name, which are left out, of
    boxes without area, which count and cannot be detected, and of elements that are there twice or cannot be read.
    ValueError, with the file, for an annotation that is missing or malformed, or a box that is not finite; for a class
    that is given twice, an ignored name that no object has, and if there is no image or no class.
    """
    if len(set(labels)) < len(labels):
        raise ValueError(f'--labels={",".join(labels)} names a class twice; name each once')
    image_ids = list(dict.fromkeys(voc_folder.read_split(list_path)))
    if not image_ids:
        raise ValueError(f'{list_path} names no image; write one image id a line')
    annotated = [_read(source, image_id) for image_id in image_ids]
    names = [name for annotation in annotated for name in annotation.names]
    _check_ignored(names, labels, ignored)
    classes = list(labels) or sorted({name for name in names if name} - set(ignored))
    if not classes:
        raise ValueError(
            f'none of the {len(image_ids)} images of {list_path} has an object; name the classes by --labels'
        )
    numbers = {name: number for number, name in enumerate(classes)}
    everything = GroundTruth(
        images=np.repeat(np.arange(len(annotated)), [len(annotation.names) for annotation in annotated]),
        classes=np.array([numbers.get(name, -1) for name in names], int),
        boxes=np.concatenate([np.zeros((0, 4)), *(annotation.boxes for annotation in annotated)]),
        difficult=np.concatenate([np.zeros(0, bool), *(annotation.difficult for annotation in annotated)]),
    )
    truth = select(everything, everything.classes >= 0)
    regions = select(everything, np.array([name in ignored for name in names], bool))
    paths = [voc_folder.annotation_path(source, image_id) for image_id in image_ids]
    _warn_of_names(names, classes, [paths[image] for image in everything.images])
    _check_boxes(truth, classes, paths)
    _check_boxes(dataclasses.replace(regions, classes=np.zeros_like(regions.classes)), [' or '.join(ignored)], paths)
    _warn_of_problems(annotated, paths)
    return image_ids, classes, truth, IgnoreRegions(regions.images, regions.classes, regions.boxes)


def _check_ignored(names: Sequence[str], labels: Sequence[str], ignored: Sequence[str]) -> None:
    """ValueError for an ignored name that is a class too, or that no object has; names: of every object.

    Because of a slip in a name, its regions would count as objects of a class.
    """
    if set(labels) & set(ignored):
        raise ValueError(f'--ignore_labels={",".join(ignored)} names one of --labels; a name is a class or ignored')
    unknown = [name for name in ignored if name not in names]
    if unknown:
        there = ', '.join(map(repr, sorted({name for name in names if name}))) or 'none'
        raise ValueError(
            f'--ignore_labels names {unknown[0]!r}, which no annotation of the list has; leave it out, or write it as '
            f'there: {there}'
        )


def _warn_of_names(names: Sequence[str], classes: Sequence[str], paths: Sequence[str]) -> None:
    """Warns of classes without an object and of objects without a name; names, paths: of every object."""
    occurring = sorted({name for name in names if name})
    for name in sorted(set(classes) - set(occurring)):
        logging.warning('no object has the class %r; there are %s', name, ', '.join(occurring) or 'none')
    nameless = list(dict.fromkeys(path for name, path in zip(names, paths, strict=True) if not name))
    if nameless:
        logging.warning('objects without a name are left out in %d annotations, as in %s', len(nameless), nameless[0])


def _check_boxes(truth: GroundTruth, classes: Sequence[str], paths: Sequence[str]) -> None:
    """Warns of boxes without area; ValueError for a box that is not finite. paths: of the images' annotations."""
    for t in np.flatnonzero(~np.isfinite(truth.boxes).all(1))[:1]:
        name, box = classes[truth.classes[t]], truth.boxes[t].tolist()
        raise ValueError(f'{paths[truth.images[t]]}: an object {name!r} has the box {box}; correct the annotation')
    flat = np.flatnonzero((truth.boxes[:, 2:] <= truth.boxes[:, :2]).any(1))
    if len(flat):
        logging.warning(
            '%d objects have boxes without area; they count here, as in the devkit, but preprocessing leaves them '
            'out of records; the first is %s in %s',
            len(flat),
            truth.boxes[flat[0]].tolist(),
            paths[truth.images[flat[0]]],
        )


def _warn_of_problems(annotated: Sequence[voc_xml.Annotation], paths: Sequence[str]) -> None:
    """Warns of elements of annotations that are there twice or cannot be read; paths: of the annotations."""
    odd = [(path, each.problems) for path, each in zip(paths, annotated, strict=True) if each.problems]
    if odd:
        path, problems = odd[0]
        num = sum(len(each) for _, each in odd)
        logging.warning(
            '%d elements in %d annotations are repeated or unreadable; the first, in %s: %s',
            num,
            len(odd),
            path,
            problems[0][1],
        )


def _read(source: voc_folder.Source, image_id: str) -> voc_xml.Annotation:
    """The annotation of an image; ValueError, with the path, if it is missing or malformed."""
    path = voc_folder.annotation_path(source, image_id)
    if not storage.exists(path):
        raise ValueError(f'the list names the image {image_id!r}, but there is no annotation {path}')
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
        shown[number] = shrink(image, PICTURE_SIDE, PICTURE_SIDE), (image.shape[0], image.shape[1])
    return shown
