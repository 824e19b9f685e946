"""Result files of the VOC devkit, comp4_det_<split>_<class>.txt: the detections of any detector."""

import glob
import posixpath
import re
from collections.abc import Iterator, Sequence

import numpy as np
from absl import logging

from yolo import storage
from yolo.evaluation.voc_matching import Detections
from yolo.names import check_file_names, plain

COMPETITION = 'comp4'  # detection, trained on any data
LARGEST = 1e9  # largest absolute value that a line may hold


def path_of(folder: str, split: str, name: str) -> str:
    """The file of a class."""
    return posixpath.join(folder, f'{COMPETITION}_det_{split}_{name}.txt')


def check_names(split: str, classes: Sequence[str]) -> None:
    """ValueError if the name of the split or of a class cannot be a part of a file's name."""
    check_file_names([split], 'the split')
    check_file_names(classes, 'the classes')


def write_detections(
    folder: str, split: str, classes: Sequence[str], image_ids: Sequence[str], detections: Detections
) -> list[str]:
    """Writes the devkit's file of every class, best score first, and returns their paths.

    Lines are `image_id score xmin ymin xmax ymax`, boxes in VOC pixels (1-based, inclusive), all numbers with as many
    digits as it takes to read the same ones back. ValueError for a name that cannot be a part of a file's name.
    """
    check_names(split, classes)
    storage.make_folder(folder)
    order = np.argsort(-detections.scores, kind='stable')
    paths = []
    for k, name in enumerate(classes):
        own = order[detections.classes[order] == k]
        rows = zip(
            detections.images[own].tolist(),
            detections.scores[own].tolist(),
            detections.boxes[own].tolist(),
            strict=True,
        )
        lines = [f'{image_ids[image]} {score!r} {" ".join(map(repr, box))}\n' for image, score, box in rows]
        paths.append(path_of(folder, split, name))
        storage.write(paths[-1], ''.join(lines))
    return paths


def read_detections(folder: str, split: str, classes: Sequence[str], image_ids: Sequence[str]) -> Detections:
    """Reads the files of all classes; those of a class are in the order of its file.

    A class may be written differently in a file's name (`dining table` for `diningtable`): the file is read, with a
    warning. Warns as well of a class without a file, which has no detections, and of boxes with xmax < xmin or
    ymax < ymin, which match nothing. ValueError, with file and line, for a malformed line and for an image that is not
    in `image_ids`, if there is no file at all, or two of one class, and for names that no file can have.
    """
    check_names(split, classes)
    numbers = {image_id: number for number, image_id in enumerate(image_ids)}
    parts = [Detections(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros((0, 4)))]
    for k, path in _paths(folder, split, classes):
        lines, names, table = _rows(path)
        for line, name in zip(lines, names, strict=True):
            if name not in numbers:
                raise ValueError(
                    f'{path}, line {line}: the image {name!r} is not in the list of split {split!r}; the '
                    'detections are of another split, or its list is another one'
                )
        images = np.array([numbers[name] for name in names], int)
        inverted = np.flatnonzero((table[:, 3:] - table[:, 1:3] + 1 < 0).any(1))
        if len(inverted):
            logging.warning(
                '%s: %d of %d boxes have xmax < xmin or ymax < ymin, and match nothing; the first is in '
                'line %d. The columns are corners, not width and height',
                path,
                len(inverted),
                len(table),
                lines[inverted[0]],
            )
        parts.append(Detections(images, np.full(len(images), k), table[:, 0], table[:, 1:]))
    return Detections(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def _paths(folder: str, split: str, classes: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The class and the path of each file."""
    paths = storage.glob(posixpath.join(glob.escape(folder), f'comp*_det_{glob.escape(split)}_*.txt'))
    if not paths:
        raise ValueError(f'{folder!r} has no file comp4_det_{split}_<class>.txt; check --detections_dir and --split')
    class_of_plain_name = {plain(name): k for k, name in enumerate(classes)}
    given: dict[int, tuple[str, str]] = {}
    for path in paths:
        name = re.sub(rf'^comp\d*_det_{re.escape(split)}_|\.txt$', '', posixpath.basename(path))
        k = classes.index(name) if name in classes else class_of_plain_name.get(plain(name), -1)
        if k in given:
            raise ValueError(f'{given[k][0]} and {path} are both files of the class {classes[k]!r}; keep one of them')
        if k >= 0:
            given[k] = path, name
        else:
            logging.warning('%s is left out: %r is not among the classes, %s', path, name, ', '.join(classes))
    for k, name in enumerate(classes):
        if k not in given:
            logging.warning('no detections of the class %r: no %s', name, path_of(folder, split, name))
            continue
        path, other = given[k]
        if other != name:
            logging.warning('the class %r of the detections is taken for the class %r of the annotations', other, name)
        yield k, path


def _rows(path: str) -> tuple[list[int], list[str], np.ndarray]:
    """Numbers (D,) of the lines that are not empty, their image ids (D,), and scores and boxes (D, 5)."""
    try:
        lines = storage.read(path).decode('utf-8-sig').splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path} is not text in UTF-8 ({error}); save it as that') from error
    rows = {number: line.strip().rsplit(None, 5) for number, line in enumerate(lines, 1) if line.strip()}
    try:
        table = np.array([row[1:] for row in rows.values()], float).reshape(len(rows), 5)
        good = bool((np.abs(table) <= LARGEST).all())
    except ValueError:
        good = False
    if not good:
        bad = next(number for number, row in rows.items() if not _is_good(row))
        raise ValueError(f'{path}, line {bad}: {lines[bad - 1].strip()!r} is not `image_id score xmin ymin xmax ymax`')
    return list(rows), [row[0] for row in rows.values()], table


def _is_good(row: list[str]) -> bool:
    try:
        return len(row) == 6 and bool((np.abs(np.array(row[1:], float)) <= LARGEST).all())
    except ValueError:
        return False
