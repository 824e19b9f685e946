"""`report.html`: what the data is like, and what was wrong with it, on one page that needs no network."""

import itertools
import math
import posixpath
from collections import Counter
from collections.abc import Mapping

import numpy as np

from preprocess import anchors as anchor_tools
from preprocess.box_sizes import BINS_PER_DOUBLING, EDGES, ROOT_EDGES, SMALLEST_EXPONENT, SizeCounts
from preprocess.leaks.leaks import Leaks
from preprocess.report import leak_pairs, statistics_section
from preprocess.report import problems as problem_tools
from preprocess.resume import Summary
from yolo.data import records, voc_folder
from yolo.data.problems import NOTED, Problem
from yolo.geometry.letterbox import GREY
from yolo.pages import page, plots

PAGE = 'report.html'
MOST_THUMBNAILS = 300  # a page must open, and a thumbnail may have 20 kB
MOST_LINES = 300  # of a table or a list
PICTURE_SIZE = (180, 120)  # most width and height of a thumbnail
MOST_K = 9


def write_page(
    out_dir: str,
    description: records.Description,
    summaries: Mapping[str, Summary],
    sizes: np.ndarray,
    size_counts: SizeCounts,
    source: voc_folder.Source,
    leaks: Leaks,
) -> None:
    """Writes `report.html` beside the records, some of which it shows.

    sizes (N, 2): w, h of the boxes that anchors were fitted to, relative to the stored images; size_counts: of all
    boxes of the first split; source: for thumbnails; leaks: what is alike in the splits.
    """
    problems = [problem for summary in summaries.values() for problem in summary.problems]
    notes = [problem for problem in problems if problem.kind == NOTED]
    by_image = problem_tools.by_image(problems)
    page.write(
        posixpath.join(out_dir, PAGE),
        'records.html.jinja',
        title='Records',
        picture_size=PICTURE_SIZE,
        intro=_intro(description),
        head=['', *description.splits],
        rows=_table(description),
        boxes_intro=_boxes_intro(description, size_counts.num_boxes, len(sizes)),
        **_charts(description, summaries, sizes, size_counts),
        **leak_pairs.values(leaks, source, PICTURE_SIZE),
        **statistics_section.values(out_dir, description, summaries),
        problems_intro=_problems_intro(description, problems, leaks),
        groups=problem_tools.group(problems),
        most_lines=MOST_LINES,
        num_images=len(by_image),
        most_thumbnails=MOST_THUMBNAILS,
        thumbnails=problem_tools.thumbnails(by_image, source, MOST_THUMBNAILS, PICTURE_SIZE),
        notes=notes,
    )


def _intro(description: records.Description) -> str:
    height, width = description.image_size
    kind = 'Grey images' if description.channels == GREY else 'Images'
    return (
        f'{kind} of {width} x {height} pixels{description.say_larger()} ({description.resize}, '
        f'{description.image_format}), '
        f'{len(description.anchors)} anchors ({description.anchors_from}) with a mean IoU of '
        f'{description.anchors_mean_iou:.3f}.'
    )


def _boxes_intro(description: records.Description, num_boxes: int, num_fitted: int) -> str:
    """Which boxes the charts are of."""
    split = next(iter(description.splits))
    if num_fitted < num_boxes:
        return (
            f'Sizes are those of all {num_boxes:,} usable boxes of {split}. The mean IoU, above and below, is that of '
            f'{num_fitted:,} of them, evenly taken: the boxes that anchors are fitted to.'
        )
    return f'Sizes and mean IoU are those of all {num_boxes:,} usable boxes of {split}.'


def _table(description: records.Description) -> list[list[str]]:
    """A row for each number that the description has, a column for each split."""
    splits = description.splits.values()
    rows: dict[str, list[int]] = {
        'images': [split.num_images for split in splits],
        'images left out': [split.images_left_out for split in splits],
        'objects': [split.num_objects for split in splits],
        'difficult objects': [split.num_difficult for split in splits],
        'truncated objects': [split.num_truncated for split in splits],
        'ignore regions': [split.num_regions for split in splits],
        'boxes left out': [split.boxes_left_out for split in splits],
    }
    return [[name, *(f'{value:,}' for value in values)] for name, values in rows.items()]


def _charts(
    description: records.Description, summaries: Mapping[str, Summary], sizes: np.ndarray, size_counts: SizeCounts
) -> dict[str, str]:
    grid = np.array(description.grid[::-1])
    anchors = np.array(description.anchors) / grid
    counts, edges = size_histogram(size_counts, anchors)
    mean_iou = description.anchors_mean_iou
    return {
        'sizes': plots.density(
            counts, edges, anchors, 'width', 'height', 'anchors', {'a cell': (1 / grid[0], 1 / grid[1])}
        ),
        'areas': plots.columns(*area_histogram(size_counts), 'square root of width x height', 'boxes'),
        'counts': plots.columns(*count_histogram(summaries), 'objects', 'images'),
        'iou_by_k': plots.columns(*iou_by_k(sizes * grid, description), 'k', 'mean IoU', mean_iou),
    }


def size_histogram(size_counts: SizeCounts, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes by width and height in bins of equal ratio: counts (B, B) and edges (B + 1,).

    The bins reach, in doublings, from the smallest box or anchor (A, 2) to 1 or the largest anchor.
    """
    used = np.flatnonzero(size_counts.by_size.any(0) | size_counts.by_size.any(1))
    smallest = EDGES[used[0]] if len(used) else 0.5
    low = math.floor(math.log2(min(max(anchors.min(initial=1), EDGES[0]), smallest, 0.5)))
    high = max(0, math.ceil(math.log2(anchors.max(initial=1))))
    edges = 2.0 ** np.linspace(low, high, (high - low) * BINS_PER_DOUBLING + 1)
    first = (low - SMALLEST_EXPONENT) * BINS_PER_DOUBLING
    return np.pad(size_counts.by_size[first:, first:], (0, high * BINS_PER_DOUBLING)), edges


def area_histogram(size_counts: SizeCounts) -> tuple[list[str], list[int]]:
    """Boxes by the root of their area, in bins that double, from the smallest box on: their ranges and counts."""
    used = np.flatnonzero(size_counts.by_root)
    first = min(used[0] if len(used) else len(ROOT_EDGES), len(ROOT_EDGES) - 3)
    parts = ['1', *(f'1/{round(1 / edge)}' for edge in ROOT_EDGES[-2::-1].tolist())][::-1]
    names = [f'{low}–{high}' for low, high in itertools.pairwise(parts[first:])]
    return names, size_counts.by_root[first:].tolist()


def count_histogram(summaries: Mapping[str, Summary]) -> tuple[list[str], list[int]]:
    """Images by number of objects: 0, 1, 2, 3–4, 5–8, 9–16, ..."""
    total: Counter = sum((summary.objects_per_image for summary in summaries.values()), Counter())
    counts: Counter = Counter()
    for number, count in total.items():
        counts[0 if number == 0 else 1 + math.ceil(math.log2(number))] += count
    bins = range(max(counts, default=0) + 1)
    names = ['0', '1', '2', *(f'{2 ** (i - 2) + 1}–{2 ** (i - 1)}' for i in bins[3:])]
    return names[: len(bins)], [counts[i] for i in bins]


def iou_by_k(sizes: np.ndarray, description: records.Description) -> tuple[list[str], list[float]]:
    """The mean IoU of sizes (N, 2) in cells with k anchors, for k = 1, 2, ...

    For the K of `kmeans:K` it is that of the description. The others are fitted from fewer starts, which is faster.
    """
    most = min(MOST_K, len(np.unique(np.round(sizes, 4), axis=0)))
    fitted_k = len(description.anchors) if description.anchors_from.startswith('kmeans:') else None
    values = [
        description.anchors_mean_iou
        if k == fitted_k
        else anchor_tools.mean_iou(sizes, anchor_tools.kmeans(sizes, k, starts=2))
        for k in range(1, most + 1)
    ]
    return [str(k) for k in range(1, most + 1)], values


def _problems_intro(description: records.Description, problems: list[Problem], leaks: Leaks) -> str:
    """How many problems of each kind, and whether all images were written."""
    num_left_out = sum(split.images_left_out for split in description.splits.values())
    kinds = Counter(problem.kind for problem in problems)
    if not problems:
        leaked = bool(leaks.in_both) or leaks.is_between.any()
        return f'None{" but for the warning above" if leaked else ""}: every listed image was written as it is.'
    counts = ', '.join(f'{count:,} x {kind}' for kind, count in kinds.items())
    written = 'Every listed image was written.' if not num_left_out else f'Images left out: {num_left_out:,}.'
    return f'{counts}. {written}'
