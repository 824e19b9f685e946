"""`suspects.html` and `suspects.csv`: the annotations that are most likely wrong, with pictures and corrections."""

import csv
import io
import posixpath
from typing import Any

import cv2
import numpy as np

from yolo import storage
from yolo.data.draw import draw_tag
from yolo.evaluation import corrections
from yolo.evaluation.report import GREEN, RED, Pictures
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.suspects import KINDS, Suspects
from yolo.pages import page

PAGE, TABLE = 'suspects.html', 'suspects.csv'
PICTURE_SIZE = (228, 200)  # most width and height of one
GREY = (170, 170, 170)
MARGIN = 0.6  # of the boxes' longer side, around them
LEAST_PART = 0.3  # of the image's shorter side in a picture
TITLES = {
    'missing': 'missing object',
    'nothing': 'box of nothing',
    'class': 'wrong class',
    'box': 'loose or shifted box',
    'twice': 'annotated twice',
}
HEAD = ('rank', 'image', 'kind', 'probability', 'class', 'xmin', 'ymin', 'xmax', 'ymax')
PROPOSED = ('proposed_class', 'proposed_xmin', 'proposed_ymin', 'proposed_xmax', 'proposed_ymax', 'reason')


def write(report_dir: str, title: str, result: EvaluationResult, found: Suspects, pictures: Pictures) -> str:
    """Writes the page and the table into a folder and returns the page's path."""
    shown = pictures(sorted(set(found.images.tolist())))
    described = corrections.describe(result, found, {number: size for number, (_, size) in shown.items()})
    storage.make_folder(report_dir)
    storage.write(posixpath.join(report_dir, TABLE), _table(result, found, described).encode())
    path = posixpath.join(report_dir, PAGE)
    page.write(
        path,
        'suspects.html.jinja',
        title=title,
        picture_size=PICTURE_SIZE,
        intro=_intro(result, found),
        rows=[_row(result, found, described, s, shown) for s in range(len(found.images))],
        data=described,
    )
    return path


def _intro(result: EvaluationResult, found: Suspects) -> str:
    expected = float(found.probabilities.sum())
    counts = np.bincount(found.kinds, minlength=len(KINDS)).tolist()
    kinds = ', '.join(f'{TITLES[kind]} {count}' for kind, count in zip(KINDS, counts, strict=True) if count)
    objects = f'{len(result.truth.images):,} annotated objects in {len(result.image_ids):,} images'
    if not kinds:
        return f'Of {objects} none is suspected of a wrong annotation.'
    return (
        f'Of {objects} these are the most likely wrong ones: {kinds}. By their probabilities about {expected:.0f} are.'
    )


def _table(result: EvaluationResult, found: Suspects, described: dict[str, list]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow([*HEAD, *PROPOSED])
    for s, suspect in enumerate(described['suspects']):
        image = described['images'][suspect['image']]
        before = {'name': '', 'box': [''] * 4} if suspect['object'] is None else image['objects'][suspect['object']]
        head = [s + 1, image['id'], KINDS[found.kinds[s]], f'{found.probabilities[s]:.3f}']
        proposed = [suspect['name'] or '', *(suspect['box'] or [''] * 4)]
        writer.writerow([*head, before['name'], *before['box'], *proposed, found.reasons[s]])
    return text.getvalue()


def _row(result: EvaluationResult, found: Suspects, described: dict[str, list], s: int, shown: dict) -> dict[str, Any]:
    """What the template shows of a suspect."""
    suspect = described['suspects'][s]
    image = described['images'][suspect['image']]
    others = [each for i, each in enumerate(image['objects']) if i != suspect['object']]
    before = [] if suspect['object'] is None else [image['objects'][suspect['object']]]
    after = [] if suspect['box'] is None else [suspect]
    boxes = np.array([each['box'] for each in [*before, *after]], float)
    stored = shown.get(int(found.images[s]))
    left, right = (
        _draw(stored, boxes, [*((each, GREY) for each in others), *((each, colour) for each in those)])
        for those, colour in ((before, RED), (after, GREEN))
    )
    return {
        'title': TITLES[KINDS[found.kinds[s]]],
        'probability': f'probability {found.probabilities[s]:.2f}',
        'reason': found.reasons[s],
        'image_id': image['id'],
        'can_correct': stored is not None,
        'pictures': ((left, 'annotation' if before else 'nothing here'), (right, 'proposal' if after else 'remove')),
    }


def _draw(stored: tuple[np.ndarray, tuple[int, int]] | None, boxes: np.ndarray, objects: list[tuple]) -> str:
    """The part of an image around some boxes (N, 4), with objects in their colours; empty for None."""
    if stored is None:
        return ''
    image, size = stored
    x0, y0, x1, y1 = _part(boxes, size)
    per_pixel = np.array([image.shape[1] / size[1], image.shape[0] / size[0]])  # stored pixels
    a, b, c, d = np.rint(np.array([x0, y0, x1, y1]) * np.tile(per_pixel, 2)).astype(int).tolist()
    scale = min(PICTURE_SIZE[0] / (x1 - x0), PICTURE_SIZE[1] / (y1 - y0))
    drawn_size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    drawn = cv2.resize(image[b : max(d, b + 1), a : max(c, a + 1)], drawn_size, interpolation=cv2.INTER_LINEAR)
    for each, colour in objects:
        corners = (np.array(each['box']) - [1, 1, 0, 0] - [x0, y0, x0, y0]) * scale
        left, top, right, bottom = np.rint(np.clip(corners, -9999, 9999)).astype(int).tolist()
        cv2.rectangle(drawn, (left, top), (max(right - 1, left), max(bottom - 1, top)), colour, 2 - (colour == GREY))
        if colour != GREY:
            draw_tag(drawn, each['name'], (left, top), colour, below=bottom)
    return page.picture(drawn, *PICTURE_SIZE)


def _part(boxes: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """xmin, ymin, xmax, ymax in pixels of the part of an image that shows some boxes (N, 4) with what is around."""
    extent = np.array(size[::-1], float)
    low, high = boxes[:, :2].min(0) - 1, boxes[:, 2:].max(0)
    side = max((high - low).max() * (1 + MARGIN), LEAST_PART * extent.min())
    half = np.minimum(np.maximum(high - low, side), extent) / 2
    centre = np.clip((low + high) / 2, half, extent - half)
    (x0, y0), (x1, y1) = (centre - half).tolist(), (centre + half).tolist()
    return x0, y0, x1, y1
