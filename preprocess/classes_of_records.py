"""Which classes records have, and which names of the rules about classes no annotation has."""

from collections import Counter
from collections.abc import Mapping

from preprocess import label_rules
from preprocess.scan import Scan
from preprocess.settings import Settings
from yolo.data.problems import NOTED, Problem
from yolo.names import MOST_BYTES, find_file_problem


def choose(settings: Settings, scans: Mapping[str, Scan]) -> tuple[str, ...]:
    """The labels of the settings, or all names in the annotations, sorted.

    ValueError if there is none, or one cannot be a part of a file's name.
    """
    if settings.labels:
        return settings.labels
    for each in scans.values():
        for name, image_id in each.wrong_names.items():
            raise ValueError(
                f'the class {name[:MOST_BYTES]!r} in the annotation of {image_id!r}: {find_file_problem(name)}; rename '
                'it by --label_map, or give --labels without it to leave its objects out'
            )
    classes = tuple(sorted({name for each in scans.values() for name in each.counts}))
    if classes:
        return classes
    _check_rules(settings, _annotated(scans))
    num = sum(each.num_unread for each in scans.values())
    reasons = '; '.join(reason for each in scans.values() for reason in each.reasons)
    unread = f' ({num} annotations could not be read: {reasons}{"; ..." if num > 1 else ""})' if num else ''
    unread = unread or (f' (what is in them: {reasons})' if reasons else '')
    noted = ''.join(f'; {split}: {note}' for split, note in settings.notes)
    raise ValueError(
        f'no objects were found in any annotation; check the folders and lists, or give --labels{unread}{noted}'
    )


def note_unknown(settings: Settings, split: str, scans: Mapping[str, Scan]) -> list[Problem]:
    """Notes, under a split, on names in the rules that no annotation has."""
    rules = settings.label_rules
    if not rules.label_map and not rules.ignored:
        return []
    annotated = _annotated(scans)
    renamed: Counter[str] = Counter()
    for name, number in annotated.items():
        renamed[rules.rename(name)] += number
    del renamed['']  # what is dropped
    said = [
        label_rules.say_unknown(sorted(rules.label_map), annotated, label_rules.FLAG),
        label_rules.say_unknown(sorted(rules.ignored), renamed, '--ignore_labels', rules.label_map),
    ]
    return [Problem(split, '', NOTED, text) for text in said if text]


def _annotated(scans: Mapping[str, Scan]) -> Counter[str]:
    """Objects of all splits by their name in the annotations, where there are rules for names."""
    return sum((each.annotated for each in scans.values()), Counter())


def _check_rules(settings: Settings, annotated: Mapping[str, int]) -> None:
    """ValueError if no object is left because its rules drop or ignore every name."""
    rules = settings.label_rules
    renamed = {rules.rename(name) for name in annotated}
    if annotated and renamed <= rules.ignored | {''}:
        flags = [label_rules.FLAG] * ('' in renamed) + ['--ignore_labels'] * bool(renamed & rules.ignored)
        raise ValueError(
            f'{" and ".join(flags)}: no object is left, {label_rules.say_counts(annotated)} are all dropped or '
            'ignored; name fewer, so that a class is left'
        )
