"""The lists that --make_splits keeps beside the records for later runs: one file, so that a kill leaves all or none."""

import dataclasses
import json
import posixpath
from collections.abc import Mapping, Sequence

from preprocess.settings import OFF, Settings
from yolo import descriptions, storage
from yolo.data.voc_folder import MOST_LIST_BYTES

FOLDER = 'splits'  # in the folder of records
FILE = 'lists.json'  # in there: what later runs read; the texts beside it are for people and other programs
AGAIN = 'remove that folder to give out all images anew'


@dataclasses.dataclass(frozen=True)
class KeptLists:
    """The image ids of each split, and how they came about.

    gone: ids of earlier runs whose images were not there, and which keep their split; asked: the settings that images
    were given out with, as texts; none where lists are somebody else's; notes: what was to note of it.
    """

    splits: dict[str, list[str]]
    gone: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    asked: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def split_of(self) -> dict[str, str]:
        """The split of each image; ValueError if an image is in two."""
        result: dict[str, str] = {}
        for lists in (self.splits, self.gone):
            for name, ids in lists.items():
                for image_id in ids:
                    if result.setdefault(image_id, name) != name:
                        raise ValueError(f'{image_id!r} is in the lists of {result[image_id]} and {name}')
        return result


def asked_for(settings: Settings) -> dict[str, str]:
    """The settings that images are given out with, by the name of their flag."""
    is_off = settings.leaks == OFF
    values = {
        'make_splits': ','.join(settings.make_splits),
        'group_by': settings.group_by,
        'seed': settings.seed,
        'leaks': OFF if is_off else 'looked for',
        'leak_distance': '' if is_off else settings.leak_distance,
        'labels': settings.labels,
        'label_map': settings.label_map,
        'ignore_labels': settings.ignore_labels,
    }
    return {name: str(value) for name, value in values.items()}


def read(out_dir: str, names: Sequence[str]) -> KeptLists | None:
    """The lists of an earlier run, or somebody's texts where there are no others; None if there are none.

    ValueError if an image is in two of them, or there are lists of other splits.
    """
    folder = posixpath.join(out_dir, FOLDER)
    path = posixpath.join(folder, FILE)
    if storage.exists(path):
        try:
            kept = descriptions.build(KeptLists, descriptions.parse(storage.read(path, MOST_LIST_BYTES)))
        except ValueError as error:
            raise ValueError(f'{path}: not lists that this version reads ({error}); {AGAIN}') from error
    else:
        kept = KeptLists(_read_texts(folder) if storage.is_folder(folder) else {})
    for name in (*kept.splits, *kept.gone):
        if name not in names:
            raise ValueError(
                f'{folder} has a list {name}, which is no split of --make_splits with {", ".join(names)}: name the '
                f'same splits, or {AGAIN}'
            )
    try:
        return kept if kept.split_of else None
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error


def _read_texts(folder: str) -> dict[str, list[str]]:
    """The lists NAME.txt: every line is an id, exactly; other files are none."""
    lists = {}
    for file in storage.names(folder):
        if file.endswith('.txt') and not file.startswith('.'):
            data = storage.read(posixpath.join(folder, file), MOST_LIST_BYTES)
            lines = data.decode('utf-8-sig', errors='surrogateescape').split('\n')  # an id may hold other line ends
            lists[file.removesuffix('.txt')] = [line.removesuffix('\r') for line in lines if line.strip()]
    return lists


def write(out_dir: str, kept: KeptLists | None) -> None:
    """Writes the file for later runs; nothing if there are no lists."""
    if kept:
        storage.make_folder(posixpath.join(out_dir, FOLDER))
        text = json.dumps(dataclasses.asdict(kept), indent=1)  # in ASCII: also names that are no UTF-8 come back
        storage.write(posixpath.join(out_dir, FOLDER, FILE), text + '\n')


def write_texts(out_dir: str, lists: Mapping[str, Sequence[str]]) -> None:
    """Writes the lists of this run as texts, one id a line; nothing if there are none."""
    for name, ids in lists.items():
        storage.make_folder(posixpath.join(out_dir, FOLDER))
        path = posixpath.join(out_dir, FOLDER, f'{name}.txt')
        storage.write(path, ''.join(f'{image_id}\n' for image_id in ids))
