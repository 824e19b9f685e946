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
    its image: the training data, not the test. ValueError for --leaks=fail if there is any such image, and for
    --leaks=drop if it leaves nothing of a split.
    """
    if settings.leaks not in (FAIL, DROP):
        return lists, {}
    if seen is None:
        ids = list(dict.fromkeys(image_id for listed in lists.values() for image_id in listed))
        seen = first_look.fingerprints(first_look.look_at(settings, ids, workers))
    leaks = leak_tools.find(lists, first_look.by_split(lists, seen), settings.leak_distance)
    said = leak_tools.warnings(leaks)
    if said and settings.leaks == FAIL:
        way_out = f'--leaks={DROP} leaves them out of the split that comes first'
        raise ValueError('; '.join([f'--leaks={FAIL}: {said[0]}', *said[1:], way_out]))
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
    """Why images are left out, by split and id.

    From the last split to the first: what is left out of a later split itself is no reason.
    """
    reasons: dict[str, dict[str, str]] = {split: {} for split in leaks.splits}
    for number in reversed(range(len(leaks.splits))):
        split, later = leaks.splits[number], leaks.splits[number + 1 :]
        for other in later:
            for image_id in leaks.in_both.get((split, other), ()):
                if image_id not in reasons[other]:
                    reasons[split].setdefault(image_id, f'it is in the list of {other} too')
        pairs = leaks.pairs.where(leaks.is_between & (leaks.split_of[leaks.pairs.first] == number))
        for i, j in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True):
            other = leaks.splits[leaks.split_of[j]]
            if leaks.ids[j] not in reasons[other]:
                reasons[split].setdefault(
                    leaks.ids[i], f'it is nearly the same as an image of {other}: {leaks.ids[j]!r}'
                )
    return reasons
