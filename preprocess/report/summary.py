"""The summary on screen, and `report.json` with every problem."""

import dataclasses
import json
import posixpath
from collections import Counter

from preprocess.leaks import leaks as leak_tools
from preprocess.leaks.leaks import Leaks
from preprocess.report import data_warnings
from preprocess.report import problems as problem_tools
from preprocess.resume import Summary
from yolo import storage
from yolo.data import records
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE, Problem

SHOWN = 20  # kinds of problems on screen, beside the images that were left out


def format_summary(description: records.Description, summaries: dict[str, Summary]) -> str:
    """Counts by split and class, anchors, the first problems by name, and warnings about the data."""
    width = max(12, *(len(name) for name in description.classes))
    header = f'{"":<{width}}' + ''.join(f'  {split:>10}' for split in summaries)
    rows = [
        ('images', [s.num_images for s in summaries.values()]),
        ('left out', [s.count(LEFT_OUT_IMAGE) for s in summaries.values()]),
        ('objects', [s.num_objects for s in summaries.values()]),
        *((f'  {name}', [s.objects[name] for s in summaries.values()]) for name in description.classes),
        ('difficult', [s.num_difficult for s in summaries.values()]),
        ('truncated', [s.num_truncated for s in summaries.values()]),
        *_count_regions(summaries),
        ('boxes out', [s.count(LEFT_OUT_BOX) for s in summaries.values()]),
    ]
    lines = [header] + [f'{name:<{width}}' + ''.join(f'  {value:>10}' for value in values) for name, values in rows]
    anchors = '  '.join(f'{w:.4g},{h:.4g}' for w, h in description.anchors)
    lines.append(f'anchors ({description.anchors_from}, mean IoU {description.anchors_mean_iou:.3f}): {anchors}')
    if description.say_larger():
        height, width = description.image_size
        lines.append(f'images of {width} x {height}{description.say_larger()}')
    problems = [problem for summary in summaries.values() for problem in summary.problems]
    kinds = Counter(problem.kind for problem in problems)
    if problems:
        lines.append(', '.join(f'{count} x {kind}' for kind, count in kinds.items()) + ':')
    left_out = [problem for problem in problems if problem.kind == LEFT_OUT_IMAGE]
    others = [problem for problem in problems if problem.kind != LEFT_OUT_IMAGE]
    notes = [problem for problem in others if not problem.image_id]  # of whole splits
    same = problem_tools.members(problem for problem in others if problem.image_id)
    lines += [f'  {p.split} {p.image_id}: {p.kind}: {p.reason}' for p in left_out]
    lines += [f'  {p.split}: {p.kind}: {p.reason}' for p in notes]
    lines += [_format_group(*each) for each in same[:SHOWN]]
    num_more = sum(len(problems) for _, problems in same[SHOWN:])
    if num_more:
        lines.append(f'  and {num_more} more in report.json')
    lines += [f'warning: {warning.line}' for warning in data_warnings.find(description, summaries)]
    return '\n'.join(lines)


def _count_regions(summaries: dict[str, Summary]) -> list[tuple[str, list[int]]]:
    """The row of the ignore regions, if there are any."""
    numbers = [summary.num_regions for summary in summaries.values()]
    return [('ignored', numbers)] if any(numbers) else []


def _format_group(key: tuple[str, str, str], problems: list[Problem]) -> str:
    """One line of problems of the same kind, class and reason."""
    first, (kind, name, reason) = problems[0], key
    if len(problems) == 1:
        return f'  {first.split} {first.image_id}: {kind}: {first.reason}'
    num_images = len({(problem.split, problem.image_id) for problem in problems})
    of_class = f'{name}: ' if name else ''
    images = f'in {num_images} images, such as {first.split} {first.image_id}'
    return f'  {len(problems)} x {kind}: {of_class}{reason}; {images}'


REPORT = 'report.json'


def format_leaks(summaries: dict[str, Summary]) -> str:
    """What two splits have in common, to be printed last; empty if that is nothing."""
    lines = [text for summary in summaries.values() for text in summary.leak_warnings]
    return '\n  '.join([f'WARNING: {leak_tools.TITLE}', *lines, leak_tools.ADVICE]) if lines else ''


def write_report(out_dir: str, description: records.Description, summaries: dict[str, Summary], leaks: Leaks) -> None:
    """Writes `report.json`: counts by split, warnings, every problem {split, image_id, kind, reason}, leaks."""
    report = {
        'splits': {name: dataclasses.asdict(split) for name, split in description.splits.items()},
        'warnings': [dataclasses.asdict(each) for each in data_warnings.find(description, summaries)],
        'problems': [dataclasses.asdict(p) for summary in summaries.values() for p in summary.problems],
        'leaks': leak_tools.as_json(leaks),
    }
    storage.write(posixpath.join(out_dir, REPORT), json.dumps(report, indent=1, ensure_ascii=False) + '\n')
