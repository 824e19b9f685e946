"""Warnings about the classes: what nothing can learn, or measure, and names that are most likely one class."""

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping

from preprocess.report.data_warning import DataWarning, counted
from preprocess.resume import Summary
from preprocess.statistics import Statistics
from yolo.data.records import Description
from yolo.names import plain

# LVIS calls classes in at most 10 training images rare; the AP of these is far below that of the others there.
FEW_IMAGES = 10


def not_learnt(description: Description, first: str, summaries: Mapping[str, Summary]) -> Iterator[DataWarning]:
    """Classes without an object in the split that is trained on."""
    missing = [name for name in description.classes if not _objects(description, name)[first]]
    totals = {name: sum(_objects(description, name).values()) for name in missing}
    elsewhere = sorted([name for name in missing if totals[name]], key=lambda name: -totals[name])
    if elsewhere:
        text = f'{counted(len(elsewhere), "class")} without any object in {first}, so that nothing can learn them'
        items = tuple(_where(description, name) for name in elsewhere)
        yield DataWarning('not in the first split', text, items, f'move some of their images to {first}')
    crowds = {name: sum(each.crowds[name] for each in summaries.values()) for name in missing if not totals[name]}
    only = tuple(f'{name!r} ({counted(number, "crowd")})' for name, number in crowds.items() if number)
    if only:
        text = f'{counted(len(only), "class")} of crowds only, without any object, so that nothing can learn them'
        yield DataWarning('only crowds', text, only, '--ignore_labels makes them regions of any class')
    nowhere = tuple(repr(name) for name, number in crowds.items() if not number)
    if nowhere:
        text = f'{counted(len(nowhere), "class")} of --labels without any object'
        yield DataWarning('without objects', text, nowhere, 'are the names written as in the annotations?')


def not_measured(description: Description, first: str) -> Iterator[DataWarning]:
    """Classes that are in the first split alone, where other splits have objects."""
    others = [split for split, each in description.splits.items() if split != first and each.num_objects]
    alone = [
        name
        for name in description.classes
        if _objects(description, name)[first] and not any(_objects(description, name)[split] for split in others)
    ]
    if others and alone:
        text = f'{counted(len(alone), "class")} without any object outside of {first}, so that no AP tells of them'
        yield DataWarning('in the first split only', text, tuple(_where(description, name) for name in alone))


def alike(description: Description) -> Iterator[DataWarning]:
    """Names that are most likely one class, and how to make them one."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in description.classes:
        groups[plain(name)].append(name)
    items, renamed = [], []
    for names in groups.values():
        counts = {name: sum(_objects(description, name).values()) for name in names}
        most, *others = sorted(names, key=lambda name: -counts[name])
        if others:
            items.append(' and '.join(f'{name!r} ({counted(counts[name], "object")})' for name in (most, *others)))
            renamed += [(name, most) for name in others]
    if items:
        text = 'names of classes that differ only by case, blanks, _ or -'
        given = ','.join(f'{old}={new}' for old, new in renamed)
        is_plain = not any(sign in name for pair in renamed for name in pair for sign in ',=')
        advice = f'--label_map={shlex.quote(given) if is_plain else "FILE"} makes them one'
        yield DataWarning('names that are alike', text, tuple(items), advice)


def few(first: str, statistics: Statistics) -> Iterator[DataWarning]:
    """Classes that are hard to learn for want of images."""
    rows = [(name, each) for name, each in statistics.classes.items() if each.num_images <= FEW_IMAGES]
    rows.sort(key=lambda row: (row[1].num_images, row[1].num_objects))
    items = tuple(
        f'{name!r} ({counted(each.num_objects, "object")} in {counted(each.num_images, "image")})'
        for name, each in rows
    )
    if items:
        text = f'{counted(len(items), "class")} in at most {FEW_IMAGES} images of {first}, from which little is learnt'
        yield DataWarning('few images', text, items, 'label more images of them')


def _objects(description: Description, name: str) -> dict[str, int]:
    """How many objects of a class each split has."""
    return {split: each.objects_per_class[name] for split, each in description.splits.items()}


def _where(description: Description, name: str) -> str:
    """A class with its numbers of objects: 'van' (12 objects in test)."""
    numbers = [
        f'{counted(number, "object")} in {split}' for split, number in _objects(description, name).items() if number
    ]
    return f'{name!r} ({", ".join(numbers)})'
