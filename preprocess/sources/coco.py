"""COCO's JSON, one file a split.

python -m preprocess --coco=train=train.json,val=val.json --out_dir=data/mine
"""

import collections
import dataclasses
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from preprocess.sources import files, found, pairing
from preprocess.sources.found import Found
from yolo.data import voc_folder, voc_xml
from yolo.data.problems import LEFT_OUT_BOX, NOTED
from yolo.data.voc_folder import Sample, Source
from yolo.data.voc_xml import Annotation

MOST_BYTES = 4 << 30  # of a JSON; that of COCO's 118,287 training images has 0.45 GB
BESIDE = 'annotation'  # how folders begin that lie beside those of the images
UNREADABLE = [float('nan')] * 4


@dataclasses.dataclass(frozen=True)
class _File:
    """One JSON: the annotation of each image by the path that it is given there, and what is odd in it."""

    annotations: dict[str, Annotation]
    labelled: frozenset[str]  # those with objects
    notes: tuple[str, ...]


def find(split_files: Mapping[str, str], images_dir: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    """split_files: the JSON of each split; images_dir: where the images are, '' for the folder of the JSON.

    In that folder and the folders in it images are looked for by their path, and else by their name; of a JSON in a
    folder `annotations`, beside this one too. ValueError for a JSON that is not one of COCO.
    """
    samples: dict[str, Sample] = {}
    splits, labelled, notes = {}, set(), []
    walked: dict[str, list[str]] = {}
    for split, path in split_files.items():
        read = _read(path)
        folder = images_dir or _images_folder(path)
        if folder not in walked:
            walked[folder] = files.images_of(files.walk(folder))
        places = _locate(list(read.annotations), walked[folder], [split, files.stem(posixpath.basename(path))])
        missing = [name for name in read.annotations if name not in places]
        if missing and not places:
            raise ValueError(
                f'{path} names {len(missing)} images{files.such_as(missing)}, none of which is in {folder}'
            )
        ids = _make_ids(list(read.annotations), places, samples, split)
        for name, annotation in read.annotations.items():
            image = places.get(name) or _not_there(name)
            samples[ids[name]] = Sample(posixpath.join(folder, image), annotation=annotation)
        splits[split] = [ids[name] for name in read.annotations]
        labelled |= {ids[name] for name in read.labelled}
        notes += [(split, f'{path}: {note}') for note in read.notes]
    folder = images_dir or posixpath.dirname(next(iter(split_files.values()))) or '.'
    source = Source(','.join(split_files.values()), folder, samples, unlabelled=unlabelled)
    result = found.gather(source, splits, wanted, frozenset(labelled))
    notes = [note for note in notes if note[0] in result.splits]
    return Found(result.source, result.splits, (*result.notes, *notes))


def _images_folder(path: str) -> str:
    folder = posixpath.dirname(path) or '.'
    if posixpath.basename(folder).lower().startswith(BESIDE):
        return files.join(folder, '..')
    return folder


def _locate(names: Sequence[str], images: Sequence[str], near: Sequence[str]) -> dict[str, str]:
    """The image that each name of a JSON means, of those in the folder; near: names of folders in which it may be."""
    there = frozenset(images)
    plain = {name: name.replace('\\', '/').removeprefix('./') for name in names}
    places = {name: path for name, path in plain.items() if path in there}
    folders = [part for each in near for part in (each, each.removeprefix('instances_'))]
    left = {'/'.join([*folders, path.lstrip('/')]): name for name, path in plain.items() if name not in places}
    pairs = pairing.pair(list(left), sorted(there - set(places.values())), across_splits=True)
    return places | {left[path]: image for path, image in pairs.items()}


def _not_there(name: str) -> str:
    """A path for an image that was not found, which never leads out of the folder."""
    path = name.replace('\\', '/')
    return path.replace('/', '_') if path.startswith('/') or '..' in path.split('/') else path


def _make_ids(
    names: Sequence[str], places: Mapping[str, str], taken: Mapping[str, Sample], split: str
) -> dict[str, str]:
    """The id of each image: its path in the folder, without the suffix; with the split in front if that is taken."""
    ids = files.make_ids([places.get(name, name) for name in names])
    made = {name: ids[places.get(name, name)] for name in names}
    return {name: f'{split}/{each}' if each in taken else each for name, each in made.items()}


def _read(path: str) -> _File:
    data = voc_folder.read_file(path, 'file', MOST_BYTES)
    try:
        root = json.loads(data, object_hook=_without_outline)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is not JSON: {str(error)[:200]}') from error
    try:
        return _parse(root)
    except ValueError as error:
        raise ValueError(f"{path} is not COCO's JSON of objects: {error}") from error


def _without_outline(entry: dict) -> dict:
    """An object of the JSON without what takes most of the memory, and is not read."""
    entry.pop('segmentation', None)
    return entry


def _parse(root: Any) -> _File:
    categories = _by_id(_entries(root, 'categories'), 'categories', 'name')
    images = _by_id(_entries(root, 'images'), 'images', 'file_name')
    sizes = {each['id']: _size(each) for each in root['images']}
    objects: dict[Any, list[dict]] = collections.defaultdict(list)
    for each in _entries(root, 'annotations'):
        objects[each.get('image_id') if _is_key(each.get('image_id')) else None].append(each)
    lost = sum(len(rows) for key, rows in objects.items() if key not in images)
    notes = [f'{lost} annotations are of no image that it has: left out'] if lost else []
    twice = len(images) - len(set(images.values()))
    if twice:
        raise ValueError(f'{twice} names of images are there twice')
    annotations = {
        name: _make_annotation(name, sizes[key], objects.get(key, []), categories) for key, name in images.items()
    }
    labelled = frozenset(name for key, name in images.items() if objects.get(key))
    return _File(annotations, labelled, tuple(notes))


def _entries(root: Any, name: str) -> list[dict]:
    entries = root.get(name) if isinstance(root, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise ValueError(f'"{name}" is not a list of objects')
    return entries


def _is_key(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_id(entries: Sequence[dict], what: str, field: str) -> dict[Any, str]:
    """A text of each entry, by its id; ValueError if one has none, or another one has the same."""
    by_id = {}
    for number, each in enumerate(entries):
        if not (_is_key(each.get('id')) and isinstance(each.get(field), str) and each[field].strip()):
            raise ValueError(f'{what}[{number}] has no "id" or no "{field}"')
        by_id[each['id']] = each[field].strip()
    if len(by_id) < len(entries):
        raise ValueError(f'{len(entries) - len(by_id)} ids of "{what}" are there twice')
    return by_id


def _size(image: dict) -> tuple[int, int] | None:
    sides: list[Any] = [image.get(name) for name in ('height', 'width')]
    numbers = [int(side) for side in sides if _is_number(side) and 1 <= side <= voc_xml.MOST_PIXELS]
    return (numbers[0], numbers[1]) if len(numbers) == len(sides) else None


def _make_annotation(
    name: str, size: tuple[int, int] | None, objects: Sequence[dict], categories: Mapping[Any, str]
) -> Annotation:
    """The objects of an image; boxes in VOC pixels."""
    names, boxes, crowds, problems = [], [], [], []
    for each in objects:
        category, box = each.get('category_id'), _box(each.get('bbox'))
        label = categories.get(category, '') if _is_key(category) else ''
        if not label:
            problems.append((LEFT_OUT_BOX, f'annotation {str(each.get("id"))[:40]}: its category has no name'))
        else:
            names.append(label)
            boxes.append(box)
            crowds.append(each.get('iscrowd') in (1, True))
    left, top, width, height = np.array(boxes, float).reshape(-1, 4).T
    with np.errstate(invalid='ignore', over='ignore'):  # what is not finite is no box
        pixels = np.stack([left + 1, top + 1, left + width, top + height], 1)  # (N, 4)
    none = np.zeros(len(names), bool)
    if size is None:
        problems.append((NOTED, 'COCO\'s "width" and "height" are not numbers of pixels; the image was followed'))
    is_crowd = np.array(crowds, bool) if any(crowds) else None
    about = posixpath.basename(name), size, tuple(names), pixels, none, none, tuple(problems)
    return Annotation(*about, from_edge=True, crowds=is_crowd)


def _box(value: Any) -> list[float]:
    """left, top, width, height; NaN if these are not four numbers."""
    if not isinstance(value, list) or len(value) != len(UNREADABLE):
        return UNREADABLE
    if not all(map(_is_number, value)):
        return UNREADABLE
    try:
        return [float(each) for each in value]
    except OverflowError:
        return UNREADABLE
