"""The summary on screen, and `report.json` with every problem."""

import dataclasses
import json
import posixpath
from collections import Counter

from preprocess.resume import Summary
from yolo import storage
from yolo.data import records
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE

SHOWN = 20  # problems on screen, beside the images that were left out


def format_summary(description: records.Description, summaries: dict[str, Summary]) -> str:
    """Counts by split and class, anchors, and the first problems by name."""
    width = max(12, *(len(name) for name in description.classes))
    header = f'{"":<{width}}' + ''.join(f'  {split:>10}' for split in summaries)
    rows = [
        ('images', [s.num_images for s in summaries.values()]),
        ('left out', [s.count(LEFT_OUT_IMAGE) for s in summaries.values()]),
        ('objects', [s.num_objects for s in summaries.values()]),
        *((f'  {name}', [s.objects[name] for s in summaries.values()]) for name in description.classes),
        ('difficult', [s.num_difficult for s in summaries.values()]),
        ('truncated', [s.num_truncated for s in summaries.values()]),
        ('boxes out', [s.count(LEFT_OUT_BOX) for s in summaries.values()]),
    ]
    lines = [header] + [f'{name:<{width}}' + ''.join(f'  {value:>10}' for value in values) for name, values in rows]
    anchors = '  '.join(f'{w:.4g},{h:.4g}' for w, h in description.anchors)
    lines.append(f'anchors ({description.anchors_from}, mean IoU {description.anchors_mean_iou:.3f}): {anchors}')
    problems = [problem for summary in summaries.values() for problem in summary.problems]
    kinds = Counter(problem.kind for problem in problems)
    if problems:
        lines.append(', '.join(f'{count} x {kind}' for kind, count in kinds.items()) + ':')
    left_out = [problem for problem in problems if problem.kind == LEFT_OUT_IMAGE]
    others = [problem for problem in problems if problem.kind != LEFT_OUT_IMAGE]
    lines += [f'  {p.split} {p.image_id}: {p.kind}: {p.reason}' for p in left_out + others[:SHOWN]]
    if len(others) > SHOWN:
        lines.append(f'  and {len(others) - SHOWN} more in report.json')
    return '\n'.join(lines)


REPORT = 'report.json'


def write_report(out_dir: str, description: records.Description, summaries: dict[str, Summary]) -> None:
    """Writes `report.json`: the counts by split and every problem {split, image_id, kind, reason}."""
    report = {
        'splits': {name: dataclasses.asdict(split) for name, split in description.splits.items()},
        'problems': [dataclasses.asdict(p) for summary in summaries.values() for p in summary.problems],
    }
    storage.write(posixpath.join(out_dir, REPORT), json.dumps(report, indent=1, ensure_ascii=False) + '\n')
