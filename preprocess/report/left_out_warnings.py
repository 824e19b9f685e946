"""A warning where most boxes of a split were left out: its annotations are not in the format that they were read as."""

from collections.abc import Iterator, Mapping

from preprocess.report import problems as problem_tools
from preprocess.report.data_warning import DataWarning, counted, percent
from preprocess.resume import Summary
from yolo.data.problems import LEFT_OUT_BOX, OTHER_CLASS
from yolo.data.records import Description

MOST = 0.5  # of the boxes of a split


def left_out(description: Description, summaries: Mapping[str, Summary]) -> Iterator[DataWarning]:
    """The splits that lost more than half of their boxes, with the reasons; those of other classes are not counted."""
    for split, summary in summaries.items():
        lost = [
            each for each in summary.problems if each.kind == LEFT_OUT_BOX and not each.reason.endswith(OTHER_CLASS)
        ]
        total = description.splits[split].num_objects + len(lost)
        if len(lost) > MOST * total:
            text = f'{percent(len(lost), total)} of the boxes of {split} ({len(lost):,} of {total:,}) are left out'
            items = tuple(
                f'{counted(len(each), "box")}: {name + ": " if name else ""}{reason}'
                for (_, name, reason), each in problem_tools.members(lost)
            )
            yield DataWarning('left out', text, items, 'mend the annotations, or say by --format what they are')
