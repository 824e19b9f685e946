"""Which split --recipe=auto trains on, and which it evaluates on, by their names."""

from collections.abc import Iterable

WHOLE, ITS_PARTS = 'trainval', ('train', 'val')  # VOC's: the first has the images of the other two
VALIDATION = ('val', 'valid', 'validation', 'dev')
TEST = 'test'


def to_train_on(splits: Iterable[str], given: str | None = None) -> str:
    """The split that is given, or else trainval; without it the first that is neither for validation nor a test.

    Where all are such, one for validation. splits: names of those with images, at least one, in order.
    """
    return given or min(splits, key=lambda name: 0 if name == WHOLE else 1 + (name in VALIDATION) + 2 * (name == TEST))


def to_evaluate_on(splits: Iterable[str], train: str) -> str:
    """A split for validation, or else the first other one; '' if there is none without images of the split `train`."""
    shared = ITS_PARTS if train == WHOLE else (WHOLE,) if train in ITS_PARTS else ()
    others = [name for name in splits if name != train and name not in shared]
    validation = next((name for name in others if name in VALIDATION), '')
    return validation or next(iter(others), '')
