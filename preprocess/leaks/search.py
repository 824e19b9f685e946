"""The search for images that are alike, among those that were written."""

from collections.abc import Mapping, Sequence

from preprocess.leaks import leaks as leak_tools
from preprocess.leaks.leaks import Leaks
from preprocess.resume import Summary
from preprocess.settings import Settings
from yolo.data.problems import NOTED, Problem


def search(settings: Settings, lists: Mapping[str, Sequence[str]], summaries: Mapping[str, Summary]) -> Leaks:
    """What is alike in the splits; adds it to the summaries."""
    leaks = leak_tools.find(
        lists, {split: each.fingerprints for split, each in summaries.items()}, settings.leak_distance
    )
    for split, texts in leak_tools.notes(leaks).items():
        summaries[split].problems += [Problem(split, '', NOTED, text) for text in texts]
    next(iter(summaries.values())).leak_warnings += leak_tools.warnings(leaks)
    return leaks
