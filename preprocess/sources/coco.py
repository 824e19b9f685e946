"""COCO's JSON, one file a split.

python -m preprocess --coco=train=train.json,val=val.json --out_dir=data/mine
"""

import posixpath
from collections.abc import Mapping, Sequence

from preprocess.sources import coco_json, files, found, pairing
from preprocess.sources.found import Found
from yolo.data.voc_folder import BACKGROUND, Sample, Source
from yolo.data.voc_xml import Annotation

BESIDE = 'annotation'  # how folders begin that lie beside those of the images


def find(
    split_files: Mapping[str, str],
    images_dir: str,
    wanted: Sequence[str] | None,
    unlabelled: str,
    walked: Mapping[str, list[str]] | None = None,
) -> Found:
    """split_files: the JSON of each split; images_dir: where the images are, '' for the folder of the JSON.

    In that folder and the folders in it images are looked for by their path, and else by their name; of a JSON in a
    folder `annotations`, beside this one too. walked: the images in a folder, where they are known. ValueError for a
    JSON that is not one of COCO, or of whose images none is found.
    """
    samples: dict[str, Sample] = {}
    splits, labelled, notes = {}, set(), []
    walked = dict(walked or {})
    for split, path in split_files.items():
        read = coco_json.read(path)
        folder = images_dir or _images_folder(path)
        if folder not in walked:
            walked[folder] = files.images_of(files.walk(folder))
        near = [split, files.stem(posixpath.basename(path)), posixpath.basename(posixpath.dirname(path))]
        places = _locate(list(read.annotations), walked[folder], near)
        missing = [name for name in read.annotations if name not in places]
        if missing and not places:
            raise ValueError(_describe_missing(path, missing, folder, walked[folder], bool(images_dir)))
        images = {name: posixpath.join(folder, places.get(name) or _not_there(name)) for name in read.annotations}
        made = {name: Sample(images[name], annotation=each) for name, each in read.annotations.items()}
        ids, also = _make_ids(made, places, samples, split)
        samples |= {ids[name]: sample for name, sample in made.items()}
        splits[split] = [ids[name] for name in read.annotations]
        labelled |= {ids[name] for name in read.labelled}
        if unlabelled == BACKGROUND:  # that they are missing is said of each, and they are not written
            labelled |= {ids[name] for name in missing}
        notes += [(split, f'{path}: {note}') for note in (*read.notes, *also)]
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
    places = {name: name for name in names if name in there}
    folders = [part for each in near for part in (each, each.removeprefix('instances_'))]
    left = {'/'.join([*folders, name.lstrip('/')]): name for name in names if name not in places}
    pairs = pairing.pair(list(left), sorted(there - set(places.values())), across_splits=True)
    return places | {left[path]: image for path, image in pairs.items()}


def _not_there(name: str) -> str:
    """A path for an image that was not found, which never leads out of the folder."""
    return name.replace('/', '_') if name.startswith('/') or '..' in name.split('/') else name


def _describe_missing(path: str, missing: Sequence[str], folder: str, images: Sequence[str], is_given: bool) -> str:
    """Why none of the images of a JSON was found, and the way out."""
    there: dict[str, list[str]] = {}
    for image in images:
        there.setdefault(files.loose_name_of(image), []).append(image)
    several = next((some for name in missing if len(some := there.get(files.loose_name_of(name), [])) > 1), None)
    text = f'{path} names {len(missing)} images{files.such_as(missing)}, none of which is in {folder}'
    if several:
        text = f'{path} names {len(missing)} images{files.such_as(missing)}, which may be more than one of those in '
        text += f'{folder}: {several[0]!r} and {several[1]!r}'
    return text + ('; give another folder' if is_given else '; give the folder of the images') + ' by --images_dir'


def _make_ids(
    made: Mapping[str, Sample], places: Mapping[str, str], taken: Mapping[str, Sample], split: str
) -> tuple[dict[str, str], list[str]]:
    """The id of each image, and a note on those of another split.

    It is the path in the folder, without the suffix; with the split in front if that is another sample's already.
    """
    ids = files.make_ids([places.get(name, name) for name in made])
    plain = {name: ids[places.get(name, name)] for name in made}
    others = {
        name: image_id
        for name, image_id in plain.items()
        if image_id in taken and not _are_same(taken[image_id], made[name])
    }
    again = [each for name, each in others.items() if taken[each].image_path == made[name].image_path]
    text = (
        f'{len(again)} images are in another split too, with other annotations{files.such_as(again)}' if again else ''
    )
    notes = [f'{text}: their ids begin with {split}/'] if again else []
    return {name: f'{split}/{each}' if name in others else each for name, each in plain.items()}, notes


def _are_same(first: Sample, second: Sample) -> bool:
    """Whether two samples are one image with the same objects."""
    return first.image_path == second.image_path and _objects_of(first.annotation) == _objects_of(second.annotation)


def _objects_of(annotation: Annotation | None) -> list:
    """Names and boxes."""
    return [*annotation.names, *annotation.boxes.tolist()] if annotation else []
