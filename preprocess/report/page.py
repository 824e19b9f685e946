"""`report.html`: what the data is like, and what was wrong with it, on one page that needs no network."""

import html
import math
import posixpath
from collections import Counter
from collections.abc import Iterator

import numpy as np

from preprocess import anchors as anchor_tools
from preprocess.resume import Summary
from yolo import storage
from yolo.data import records, voc_folder
from yolo.data.voc_folder import NOTED
from yolo.pages import plots
from yolo.pages.plots import HEIGHT, MARGIN

PAGE = 'report.html'
MOST_THUMBNAILS = 1000  # and MOST_POINTS: a page must open
MOST_POINTS = 3000
MOST_K = 9


def write_page(
    out_dir: str,
    description: records.Description,
    summaries: dict[str, Summary],
    sizes: np.ndarray,
    source: voc_folder.Source,
) -> None:
    """Writes `report.html`; sizes (N, 2) w, h of boxes relative to the stored images; source: for thumbnails."""
    grid = np.array(description.grid[::-1])
    if len(sizes) > MOST_POINTS:
        sizes = np.random.default_rng(0).choice(sizes, MOST_POINTS, replace=False)
    figures = [
        plots.figure(
            _cloud(sizes, np.array(description.anchors) / grid),
            'boxes of the first split (w, h relative to the image), and the anchors',
        ),
        plots.figure(plots.bars(*_area_histogram(sizes)), 'size of boxes: square root of w x h, relative'),
        plots.figure(plots.bars(*_count_histogram(summaries)), 'objects in an image'),
        plots.figure(
            plots.bars(*_iou_by_k(sizes * grid)), 'mean IoU of boxes with the best of k anchors fitted to them'
        ),
    ]
    body = [
        plots.page_head('Records'),
        f'<p>Images of {description.image_size[1]} x {description.image_size[0]} pixels ({description.resize}, '
        f'{description.image_format}), {len(description.anchors)} anchors '
        f'({html.escape(description.anchors_from)}) with a mean IoU of {description.anchors_mean_iou:.3f}.</p>',
        _table(description),
        '<h2>Boxes</h2><div class="plots">',
        *figures,
        '</div>',
    ]
    with storage.writer(posixpath.join(out_dir, PAGE)) as file:
        file.write(''.join(body).encode())
        for part in _problems(summaries, source):
            file.write(part.encode())
        file.write(b'</body></html>\n')


def _table(description: records.Description) -> str:
    splits = description.splits
    rows: list[tuple[str, list[int]]] = [
        ('images', [split.num_images for split in splits.values()]),
        ('images left out', [split.images_left_out for split in splits.values()]),
        ('objects', [split.num_objects for split in splits.values()]),
        ('difficult objects', [split.num_difficult for split in splits.values()]),
        ('truncated objects', [split.num_truncated for split in splits.values()]),
        ('boxes left out', [split.boxes_left_out for split in splits.values()]),
        *(
            (f'class {name}', [split.objects_per_class[name] for split in splits.values()])
            for name in description.classes
        ),
    ]
    return plots.table(['', *splits], [[name, *(f'{value:,}' for value in values)] for name, values in rows])


def _cloud(sizes: np.ndarray, anchors: np.ndarray) -> str:
    """Dots for boxes (N, 2) and outlined squares, numbered, for anchors (A, 2); 0..1 on both axes."""
    side = HEIGHT - 2 * MARGIN + 20

    def place(point) -> tuple[float, float]:
        return round(MARGIN + float(point[0]) * side, 1), round(MARGIN - 20 + side - float(point[1]) * side, 1)

    parts = [f'<rect x="{MARGIN}" y="{MARGIN - 20}" width="{side}" height="{side}" fill="#f7f7f7" stroke="#bbb"/>']
    parts += [f'<circle cx="{x}" cy="{y}" r="1.5" fill="#1f77b4" fill-opacity=".35"/>' for x, y in map(place, sizes)]
    for number, (x, y) in enumerate(map(place, np.minimum(anchors, 1)), 1):
        parts.append(
            f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="none" stroke="#d62728" '
            f'stroke-width="2"/><text x="{x + 7}" y="{y + 4}">{number}</text>'
        )
    parts += [
        f'<text x="{MARGIN}" y="{MARGIN + side - 5}">0</text>',
        f'<text x="{MARGIN + side - 8}" y="{MARGIN + side - 5}">w = 1</text>',
        f'<text x="{MARGIN - 40}" y="{MARGIN - 10}">h = 1</text>',
    ]
    return plots.svg(parts)


def _area_histogram(sizes: np.ndarray) -> tuple[list[str], list[int]]:
    edges = np.linspace(0, 1, 11)
    counts, _ = np.histogram(np.sqrt(np.clip(sizes.prod(1), 0, 1)), edges)
    return [f'-{edge:.1f}' for edge in edges[1:]], counts.tolist()


def _count_histogram(summaries: dict[str, Summary]) -> tuple[list[str], list[int]]:
    """Images by number of objects: 0, 1, 2, 3-4, 5-8, 9-16, ..."""
    total: Counter = sum((summary.objects_per_image for summary in summaries.values()), Counter())
    found: Counter = Counter()
    for number, count in total.items():
        found[0 if number == 0 else 1 + math.ceil(math.log2(number))] += count
    bins = range(max(found, default=0) + 1)
    names = ['0', '1', '2', *(f'{2 ** (i - 2) + 1}-{2 ** (i - 1)}' for i in bins[3:])]
    return names[: len(bins)], [found[i] for i in bins]


def _iou_by_k(sizes: np.ndarray) -> tuple[list[str], list[float]]:
    most = min(MOST_K, len(np.unique(sizes, axis=0)))
    return (
        [f'k = {k}' for k in range(1, most + 1)],
        [anchor_tools.mean_iou(sizes, anchor_tools.kmeans(sizes, k, starts=2)) for k in range(1, most + 1)],
    )


def _problems(summaries: dict[str, Summary], source: voc_folder.Source) -> Iterator[str]:
    """The images that were left out, or something of them, or that were repaired; then what was only noted."""
    problems = [problem for summary in summaries.values() for problem in summary.problems]
    if not problems:
        yield '<h2>Problems</h2><p>None: every listed image was written as it is.</p>'
        return
    kinds = Counter(problem.kind for problem in problems)
    by_image: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        if problem.kind != NOTED:
            by_image.setdefault((problem.split, problem.image_id), []).append(f'{problem.kind}: {problem.reason}')
    yield f'<h2>Problems</h2><p>{", ".join(f"{count:,} x {kind}" for kind, count in kinds.items())}</p>'
    yield '<div class="images">'
    for (split, image_id), reasons in list(by_image.items())[:MOST_THUMBNAILS]:
        caption = f'<b>{html.escape(split)} {html.escape(image_id)}</b><br>' + '<br>'.join(map(html.escape, reasons))
        yield plots.figure(_thumbnail(source, image_id), caption)
    yield '</div>'
    if len(by_image) > MOST_THUMBNAILS:
        yield f'<p>And {len(by_image) - MOST_THUMBNAILS:,} more images, in report.json.</p>'
    notes = [problem for problem in problems if problem.kind == NOTED][:MOST_THUMBNAILS]
    if notes:
        lines = (f'<li>{html.escape(f"{note.split} {note.image_id}: {note.reason}")}</li>' for note in notes)
        yield f'<h2>Noted</h2><ul>{"".join(lines)}</ul>'
        if kinds[NOTED] > len(notes):
            yield f'<p>And {kinds[NOTED] - len(notes):,} more, in report.json.</p>'


def _thumbnail(source: voc_folder.Source, image_id: str) -> str:
    try:
        annotation = voc_folder.read_annotation(source, image_id)
        found: tuple[str, tuple[int, int] | None] = annotation.filename, annotation.size
    except ValueError:
        found = '', None
    try:
        image, _ = voc_folder.read_image(source, image_id, *found)
    except ValueError:
        return plots.picture(None)
    return plots.picture(image)
