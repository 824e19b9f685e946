"""The source that the flags name, and what a folder is that is given without a word on its format."""

import posixpath
from collections.abc import Sequence

from preprocess.settings import COCO, VOC, XML, YOLO, Request
from preprocess.sources import coco, files, folder, lists, tfds, voc, yolo
from preprocess.sources.found import Found
from preprocess.sources.split_folders import ALL, SPLIT_FOLDERS
from yolo import storage
from yolo.data.voc_folder import BACKGROUND, LEAVE_OUT

ROBOFLOW_COCO = '_annotations.coco.json'
LISTS = 'ImageSets/Main'
UNLABELLED = {VOC: LEAVE_OUT, XML: LEAVE_OUT, COCO: BACKGROUND, YOLO: BACKGROUND}  # as each format means it


def find(asked: Request, given_splits: Sequence[str] | None, out_dir: str, is_pooled: bool = False) -> Found:
    """What a request asks for; given_splits: the splits that it names itself; is_pooled: lists do not matter.

    Writes the VOC folder that --tfds needs, in `out_dir` if nothing else is said. ValueError if the flags do not go
    together, or what they name is not there.
    """
    voc_dir = asked.voc_dir
    if asked.tfds:
        voc_dir = voc_dir or posixpath.join(out_dir, 'voc')
        tfds.export(asked.tfds, asked.splits, voc_dir, asked.tfds_data_dir)
        given_splits = None if is_pooled else given_splits
    _check(asked, voc_dir)
    if asked.coco:
        given = voc.by_name(asked.coco, '--coco')
        return coco.find(given, asked.images_dir, given_splits, asked.unlabelled or UNLABELLED[COCO])
    if asked.yolo:
        return yolo.find(asked.yolo, given_splits, asked.unlabelled or UNLABELLED[YOLO])
    if voc_dir:
        return _find_voc(voc_dir, asked, given_splits, is_pooled)
    annotations_dir = asked.annotations_dir or asked.images_dir
    if asked.split_files:
        unlabelled = asked.unlabelled or UNLABELLED[VOC]
        source, splits = voc.separate_folders(annotations_dir, asked.images_dir, asked.split_files, unlabelled)
        return lists.understand(source, splits)
    if asked.annotations_dir:
        return folder.find(annotations_dir, asked.images_dir, given_splits, asked.unlabelled or UNLABELLED[XML])
    return _find_images_dir(asked, given_splits, is_pooled)


def _check(asked: Request, voc_dir: str) -> None:
    """ValueError for flags that name no place, or more than one."""
    places = [voc_dir, asked.yolo, asked.images_dir or asked.coco]
    if sum(map(bool, places)) != 1:
        raise ValueError('give one of --images_dir, --voc_dir, --coco, --yolo and --tfds')
    if asked.annotations_dir and (not asked.images_dir or asked.coco):
        raise ValueError(f'--annotations_dir={asked.annotations_dir} is for VOC XML, with --images_dir')
    if asked.split_files and (asked.coco or asked.yolo):
        raise ValueError('--split_files is for VOC XML: COCO and YOLO name the images of each split themselves')
    if asked.format != 'auto' and (not asked.images_dir or asked.coco or asked.annotations_dir or asked.split_files):
        raise ValueError(f'--format={asked.format} says what --images_dir alone is')


def _find_voc(voc_dir: str, asked: Request, given_splits: Sequence[str] | None, is_pooled: bool) -> Found:
    """A VOC folder, with its own lists, with other ones, or without."""
    unlabelled = asked.unlabelled or UNLABELLED[VOC]
    if asked.split_files:
        source, splits = voc.separate_folders(*voc.folders_of(voc_dir), asked.split_files, unlabelled)
        return lists.understand(source, splits)
    if storage.is_folder(posixpath.join(voc_dir, LISTS)) and not is_pooled:
        source, splits = voc.voc_folder(voc_dir, asked.splits, unlabelled)
        return lists.understand(source, splits)
    return folder.find(*voc.folders_of(voc_dir), given_splits, unlabelled)


def _find_images_dir(asked: Request, given_splits: Sequence[str] | None, is_pooled: bool) -> Found:
    """A folder without lists: in the format that is asked for, or that it seems to have."""
    place, reason = asked.images_dir, f'--format={asked.format}'
    if not storage.is_folder(place):
        raise ValueError(f'{place} is not a folder')
    kind, reason = (asked.format, reason) if asked.format != 'auto' else detect(place)
    unlabelled = asked.unlabelled or UNLABELLED[kind]
    if kind == VOC and not is_pooled:
        found = lists.understand(*voc.voc_folder(place, asked.splits, unlabelled))
    elif kind == COCO:
        found = coco.find(_roboflow_files(place), place, given_splits, unlabelled)
    elif kind == YOLO:
        found = yolo.find(place, given_splits, unlabelled)
    else:
        found = folder.find(*voc.folders_of(place), given_splits, unlabelled)
    said = f'{place} was taken for {NAMES[kind]}: {reason}. '
    said += 'All of its images are given out by --make_splits' if is_pooled else f'Splits: {", ".join(found.splits)}'
    if ALL in found.splits and not is_pooled:
        said += ' (no folders train, valid or test divide it; keep some images for a test by --make_splits)'
    return Found(found.source, found.splits, found.notes, said)


NAMES = {
    VOC: 'a VOC folder with lists',
    XML: 'images with VOC XML',
    COCO: "COCO's JSON as Roboflow exports it",
    YOLO: 'a YOLO dataset',
}


def detect(place: str) -> tuple[str, str]:
    """The format of what is in a folder, and why; ValueError if it has none, or more than one."""
    paths = list(files.walk(place))
    there, top = set(paths), [path for path in paths if '/' not in path]
    reasons = {}
    xml = [path for path in paths if files.suffix(path) == files.XML]
    if any(path.startswith(f'{LISTS}/') for path in paths) and any(path.startswith('Annotations/') for path in xml):
        reasons[VOC] = f'it has Annotations and {LISTS}'
    elif xml:
        reasons[XML] = f'it has {len(xml)} XML files, such as {xml[0]}, and no {LISTS}'
    jsons = [path for path in paths if posixpath.basename(path) == ROBOFLOW_COCO]
    if jsons:
        reasons[COCO] = f'it has {", ".join(jsons[:4])}'
    names = [name for name in ('data.yaml', *yolo.NAMES_FILES) if name in there]
    names += [path for path in top if files.suffix(path) in ('.yaml', '.yml') and path not in names]
    of_images = {files.loose_name_of(path) for path in files.images_of(paths)}
    texts = [path for path in paths if files.suffix(path) == files.TEXT and files.loose_name_of(path) in of_images]
    if names and texts:
        reasons[YOLO] = f'it has {names[0]} and {len(texts)} texts with names of images, such as {texts[0]}'
    if len(reasons) > 1:
        text = '; '.join(f'--format={kind}: {reason}' for kind, reason in reasons.items())
        raise ValueError(f'{place} can be taken for more than one thing; say which it is by {text}')
    if not reasons:
        raise ValueError(
            f'{place} has {len(files.images_of(paths))} images and no annotations that are known: VOC XML, '
            f'{ROBOFLOW_COCO} (or --coco=train=FILE.json), or YOLO texts with a data.yaml or classes.txt'
        )
    return next(iter(reasons.items()))


def _roboflow_files(place: str) -> dict[str, str]:
    """The JSON of each split: those in its folders, or the one in the folder itself."""
    found = {
        name: posixpath.join(place, name, ROBOFLOW_COCO)
        for name in SPLIT_FOLDERS
        if storage.exists(posixpath.join(place, name, ROBOFLOW_COCO))
    }
    own = posixpath.join(place, ROBOFLOW_COCO)
    if not found and not storage.exists(own):
        raise ValueError(f'{place} has no {ROBOFLOW_COCO}, and none in train, valid or test')
    return found or {ALL: own}
