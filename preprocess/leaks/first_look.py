"""A look at every image before records are written, for what depends on all of them: --make_splits, --leaks=drop."""

import dataclasses
from collections.abc import Mapping, Sequence

from preprocess import shards
from preprocess.leaks import fingerprint
from preprocess.pool import WorkerPool
from preprocess.settings import OFF, Settings
from yolo.data import voc_folder

AT_ONCE = 256  # images of a job


@dataclasses.dataclass(frozen=True)
class Look:
    """An image; fingerprint: None if it cannot be read or nobody asked; classes: of its objects, each once."""

    image_id: str
    fingerprint: str | None
    classes: tuple[str, ...]


def look_at(settings: Settings, ids: Sequence[str], workers: WorkerPool) -> list[Look]:
    """Looks at these images, in order; the conversion says what is wrong with those that cannot be read."""
    parts = [tuple(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE)]
    jobs = [shards.part_of(settings, part) for part in parts]
    return [look for part in workers.run(_look_at_part, jobs, parts) for look in part]


def fingerprints(looks: Sequence[Look]) -> dict[str, str]:
    """The fingerprints by image id, of the images that could be read."""
    return {look.image_id: look.fingerprint for look in looks if look.fingerprint is not None}


def _look_at_part(settings: Settings, ids: Sequence[str]) -> list[Look]:
    return [_look(settings, image_id) for image_id in ids]


def _look(settings: Settings, image_id: str) -> Look:
    filename, size = '', None
    names: tuple[str, ...] = ()
    try:
        annotation = voc_folder.read_annotation(settings.source, image_id)
        filename, size = annotation.filename, annotation.size
        names = tuple(dict.fromkeys(map(settings.label_rules.rename, annotation.names)))
    except ValueError:
        pass  # the conversion gives the reason
    ignored = settings.ignore_labels or ()
    known = tuple(
        name for name in names if name and name not in ignored and (settings.labels is None or name in settings.labels)
    )
    return Look(image_id, _fingerprint(settings, image_id, filename, size) if settings.leaks != OFF else None, known)


def _fingerprint(settings: Settings, image_id: str, filename: str, size: tuple[int, int] | None) -> str | None:
    how = settings.max_pixels, settings.damaged, settings.grey_range
    try:
        image, _ = voc_folder.read_image(settings.source, image_id, filename, size, *how)
    except ValueError:
        return None
    return fingerprint.of_stored(shards.fit(settings, image, settings.image_size), image.shape[:2], settings.resize)


def by_split(lists: Mapping[str, Sequence[str]], seen: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Fingerprints by image id for each split."""
    return {split: {each: seen[each] for each in ids if each in seen} for split, ids in lists.items()}
