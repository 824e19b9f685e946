"""The problems of a conversion for a page: grouped, and as thumbnails with the boxes drawn."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np

from yolo.data import images, voc_folder
from yolo.data.problems import LEAK, NOTED, Problem
from yolo.pages import page

OBJECT = re.compile(r"object \d+ (?P<name>'.*'|\".*\") \((?P<box>[^()]*)\): (?P<reason>.*)", re.DOTALL)
MOST_LINES = 8  # below a picture
RED = (40, 40, 220)  # BGR


def group(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems by kind, class and reason, most frequent first: rows of count, kind, class_name, reason, num_images."""
    return [
        {
            'count': f'{len(each):,}',
            'kind': kind,
            'class_name': name,
            'reason': reason,
            'num_images': f'{len({(member.split, member.image_id) for member in each}):,}',
        }
        for (kind, name, reason), each in members(problems)
    ]


def members(problems: Iterable[Problem]) -> list[tuple[tuple[str, str, str], list[Problem]]]:
    """The problems of each kind, class (quoted, '' if it is of no class) and reason, most frequent first."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        match = OBJECT.fullmatch(problem.reason)
        name, reason = (match['name'], match['reason']) if match else ('', problem.reason)
        groups.setdefault((problem.kind, name, _without_details(reason, problem.image_id)), []).append(problem)
    return sorted(groups.items(), key=lambda row: -len(row[1]))


def _without_details(reason: str, image_id: str) -> str:
    """A reason without what differs from image to image: its id, its size, a line, another's id."""
    reason = re.sub(r'^(line|annotation) .{1,40}?: ', '', reason)
    reason = re.sub(r'^(it is nearly the same as an image of .*?): .*', r'\1', reason)
    reason = reason.replace(image_id, '…') if image_id else reason
    return re.sub(r'\d+ x \d+', '… x …', re.sub(r' of \d+ x \d+', '', reason))


def by_image(problems: Iterable[Problem]) -> dict[tuple[str, str], list[Problem]]:
    """Problems by split and image id; without those that were only noted, and leaks."""
    grouped: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        if problem.kind not in (NOTED, LEAK):
            grouped.setdefault((problem.split, problem.image_id), []).append(problem)
    return grouped


def thumbnails(
    grouped: Mapping[tuple[str, str], Sequence[Problem]],
    source: voc_folder.Source,
    most: int,
    size: tuple[int, int],
) -> Iterator[tuple[str, str, list[str]]]:
    """Picture, title and lines of the first images that have problems; size: most width and height of a picture."""
    for (split, image_id), problems in list(grouped.items())[:most]:
        image = read_image(source, image_id)
        if image is not None:
            image = draw(image, boxes_of(problems), size)
        lines = [f'{problem.kind}: {problem.reason}' for problem in problems[:MOST_LINES]]
        if len(problems) > MOST_LINES:
            lines.append(f'and {len(problems) - MOST_LINES:,} more, in report.json')
        yield page.picture(image, *size), f'{split} {image_id}', lines


def boxes_of(problems: Iterable[Problem]) -> np.ndarray:
    """The boxes (N, 4) in VOC pixels that problems name, those with coordinates that are numbers."""
    matches = [OBJECT.fullmatch(problem.reason) for problem in problems]
    rows = [match['box'].split(', ') for match in matches if match]
    boxes = np.array([[float(value) for value in row] for row in rows], float).reshape(-1, 4)
    return boxes[np.isfinite(boxes).all(1)]


def draw(image: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 BGR, shrunk into `size`, with boxes (N, 4) in VOC pixels of the original."""
    small = images.shrink(image, *size).copy()
    scale = small.shape[1] / image.shape[1]
    extent = np.array([small.shape[1], small.shape[0]] * 2)
    for box in boxes:
        corners = np.clip((box - [1, 1, 0, 0]) * scale, 0, extent - 1)
        x0, y0, x1, y1 = np.rint(corners).astype(int).tolist()
        cv2.rectangle(small, (x0, y0), (x1, y1), RED, 1)
    return small


def read_image(source: voc_folder.Source, image_id: str) -> np.ndarray | None:
    """An image (H, W, 3) uint8 BGR; None if it cannot be read."""
    try:
        annotation = voc_folder.read_annotation(source, image_id)
        filename, size = annotation.filename, annotation.size
    except ValueError:
        filename, size = '', None
    try:
        return voc_folder.read_image(source, image_id, filename, size)[0]
    except ValueError:
        return None
