"""Whether result files are of the list of images that they are evaluated on: a warning with numbers where not."""

import posixpath
from collections.abc import Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.data import voc_folder
from yolo.evaluation.voc_matching import Detections, GroundTruth

LEAST_COVERED = 0.5  # of the images that have objects; a detector that was run on all of them sees something in more


def warn_of_another_list(
    folder: str, list_path: str, image_ids: Sequence[str], truth: GroundTruth, detections: Detections
) -> None:
    """Warns if detections are of too few of a list's images to be detections on that list.

    That is if fewer than LEAST_COVERED of the images with objects have a detection, or if the images that have one are
    exactly those of another list in the same folder. Every image without a detection counts its objects as missed, so
    that the AP is low for a reason that it does not show.

    folder: of the result files; list_path: of the list whose images are image_ids.
    """
    covered, with_objects = np.unique(detections.images), np.unique(truth.images)
    num_covered = len(np.intersect1d(covered, with_objects))
    if len(covered) == len(image_ids) or not len(with_objects):
        return
    others = _lists_of({image_ids[image] for image in covered.tolist()}, list_path) if len(covered) else []
    if num_covered >= LEAST_COVERED * len(with_objects) and not others:
        return
    logging.warning(
        '%s of %s images of the list %s have no detection in %s: their %s objects count as missed%s',
        f'{len(image_ids) - len(covered):,}',
        f'{len(image_ids):,}',
        posixpath.basename(list_path),
        folder,
        f'{int((np.isin(truth.images, covered, invert=True) & ~truth.difficult).sum()):,}',
        _way_out(len(covered), others),
    )


def _way_out(num_covered: int, others: Sequence[str]) -> str:
    """What to do if the detector was run on another list; others: those that have exactly the covered images.

    Nothing where no image is covered: the count before it says all.
    """
    if not num_covered:
        return ''
    names = ' and '.join(others)
    which = f'exactly the list {names}' if others else 'too few for a detector that was run on all'
    name = others[0].removesuffix('.txt') if others else 'NAME'
    listed = '' if others else f'list them in ImageSets/Main/{name}.txt, '
    return (
        f'. {num_covered:,} images have detections, {which}; to evaluate on these alone, {listed}name the files '
        f'comp4_det_{name}_<class>.txt, and give --split={name}'
    )


def _lists_of(covered: set[str], list_path: str) -> list[str]:
    """The names of the lists beside a list whose images are exactly these."""
    folder, own = posixpath.split(list_path)
    found = []
    for name in sorted(storage.names(folder)):
        if name == own or not name.endswith('.txt'):
            continue
        try:
            ids = voc_folder.read_split(posixpath.join(folder, name))
        except ValueError:  # no list of images
            continue
        if set(ids) == covered:
            found.append(name)
    return found
