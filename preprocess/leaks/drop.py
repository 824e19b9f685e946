"""--leaks=fail and --leaks=drop: what is done about images of two splits before records are written."""

from collections.abc import Mapping

from preprocess.leaks import first_look
from preprocess.leaks import leaks as leak_tools
from preprocess.leaks.leaks import Leaks
from preprocess.pool import WorkerPool
from preprocess.settings import DROP, FAIL, Settings
from yolo.data.problems import LEAK, Problem

Lists = dict[str, list[str]]


def check(
    settings: Settings, lists: Lists, seen: Mapping[str, str] | None, workers: WorkerPool
) -> tuple[Lists, dict[str, list[Problem]]]:
    """The lists without what --leaks=drop leaves out, and a problem for each such image, by split.

    seen: fingerprints by image id, if all images were looked at already. Of two splits the one that comes first loses
    its image: the training data, not the test. ValueError for --leaks=fail if there is any such image, and if there are
    too many pairs for the search.
    """
    if settings.leaks not in (FAIL, DROP):
        return lists, {}
    if seen is None:
        ids = list(dict.fromkeys(image_id for listed in lists.values() for image_id in listed))
        seen = first_look.fingerprints(first_look.look_at(settings, ids, workers))
    leaks = leak_tools.find(lists, first_look.by_split(lists, seen), settings.leak_distance)
    said = leak_tools.warnings(leaks)
    if said and (settings.leaks == FAIL or not leaks.pairs.is_complete):
        way_out = f'--leaks={DROP} leaves them out of the split that comes first' if settings.leaks == FAIL else ''
        raise ValueError('; '.join(filter(None, [f'--leaks={settings.leaks}: {said[0]}', *said[1:], way_out])))
    reasons = _reasons(leaks)
    kept = {split: [each for each in ids if each not in reasons[split]] for split, ids in lists.items()}
    for split, ids in kept.items():
        if lists[split] and not ids:
            raise ValueError(f'--leaks={DROP} leaves nothing of {split}: all of its images are also in another split')
    problems = {
        split: [Problem(split, image_id, LEAK, reason) for image_id, reason in each.items()]
        for split, each in reasons.items()
    }
    return kept, problems


def _reasons(leaks: Leaks) -> dict[str, dict[str, str]]:
    """Why images are left out, by split and id."""
    reasons: dict[str, dict[str, str]] = {split: {} for split in leaks.splits}
    for (first, second), ids in leaks.in_both.items():
        for image_id in ids:
            reasons[first].setdefault(image_id, f'it is in the list of {second} too')
    between = leaks.pairs.where(leaks.is_between)
    for i, j in zip(between.first.tolist(), between.second.tolist(), strict=True):
        first, second = sorted((i, j), key=lambda k: leaks.split_of[k])
        split, other = (leaks.splits[leaks.split_of[k]] for k in (first, second))
        reasons[split].setdefault(leaks.ids[first], f'it is nearly the same as {leaks.ids[second]!r} of {other}')
    return reasons
