"""A warning where the larger stored images are those of a split that is hardly the one to train on."""

from collections.abc import Iterator

from preprocess.report.data_warning import DataWarning
from preprocess.sources.split_folders import TEST_FOLDERS
from yolo.data.records import Description


def larger_for_tests(description: Description) -> Iterator[DataWarning]:
    """A split with larger stored images whose name is that of one to test on: its results are not exact."""
    for name, split in description.splits.items():
        if split.stored_size and name.lower() in TEST_FOLDERS:
            text = (
                f'the larger images of --store_size are those of the first split, {name}, where results become inexact'
            )
            yield DataWarning('larger images to test on', text, advice='name the split to train on first')
