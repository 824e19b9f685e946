"""What in the data costs accuracy, or cannot be learnt at all, with numbers and the way out: most important first."""

from collections.abc import Mapping

from preprocess.report import class_warnings, left_out_warnings, object_warnings, stored_warnings
from preprocess.report.data_warning import DataWarning
from preprocess.resume import Summary
from yolo.data.records import Description


def find(description: Description, summaries: Mapping[str, Summary]) -> list[DataWarning]:
    """The warnings on records. The first split is taken for the one that is trained on, as for the anchors."""
    first = next(iter(description.splits))
    statistics = summaries[first].statistics
    if not description.splits[first].num_images:
        return []
    return [
        *left_out_warnings.left_out(description, summaries),
        *stored_warnings.larger_for_tests(description),
        *class_warnings.not_learnt(description, first, summaries),
        *class_warnings.alike(description),
        *class_warnings.few(first, statistics),
        *object_warnings.lost(first, statistics),
        *object_warnings.small(description, first, statistics),
        *object_warnings.anchors(description, first, statistics),
        *class_warnings.not_measured(description, first),
    ]
