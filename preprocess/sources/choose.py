"""The source that the flags name, and what a folder is that is given without a word on its format."""

import posixpath
from collections.abc import Sequence

from preprocess.settings import COCO, VOC, XML, YOLO, Request
from preprocess.sources import coco, detect, files, folder, lists, tfds, voc, yolo
from preprocess.sources.found import Found
from preprocess.sources.split_folders import ALL
from yolo import storage
from yolo.data.voc_folder import BACKGROUND, LEAVE_OUT

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
    _check(asked, voc_dir, given_splits)
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


def _check(asked: Request, voc_dir: str, given_splits: Sequence[str] | None) -> None:
    """ValueError for flags that name no place, or more than one."""
    places = [voc_dir, asked.yolo, asked.images_dir or asked.coco]
    if sum(map(bool, places)) != 1:
        raise ValueError('give one of --images_dir, --voc_dir, --coco, --yolo and --tfds')
    if asked.annotations_dir and (not asked.images_dir or asked.coco):
        raise ValueError(f'--annotations_dir={asked.annotations_dir} is for VOC XML, with --images_dir')
    if asked.split_files and (asked.coco or asked.yolo):
        raise ValueError('--split_files is for VOC XML: COCO and YOLO name the images of each split themselves')
    if asked.split_files and given_splits and not asked.tfds:
        raise ValueError(f'--splits={",".join(given_splits)}: --split_files names the splits; leave --splits out')
    if asked.format != 'auto' and (not asked.images_dir or asked.coco or asked.annotations_dir or asked.split_files):
        raise ValueError(f'--format={asked.format} says what --images_dir alone is')


def _find_voc(voc_dir: str, asked: Request, given_splits: Sequence[str] | None, is_pooled: bool) -> Found:
    """A VOC folder, with its own lists, with other ones, or without."""
    unlabelled = asked.unlabelled or UNLABELLED[VOC]
    if asked.split_files:
        source, splits = voc.separate_folders(*voc.folders_of(voc_dir), asked.split_files, unlabelled)
        return lists.understand(source, splits)
    names = voc.list_names(voc_dir)
    if names and not is_pooled:
        chosen = tuple(given_splits) if given_splits is not None else voc.usual_lists(voc_dir, names, asked.splits)
        found = lists.understand(*voc.voc_folder(voc_dir, chosen, unlabelled))
        note = f'of the lists in {voc_dir}, {", ".join(chosen)} were taken: --splits takes others'
        return found if given_splits is not None or chosen == asked.splits else found.with_notes([note])
    return folder.find(*voc.folders_of(voc_dir), given_splits, unlabelled)


def _find_images_dir(asked: Request, given_splits: Sequence[str] | None, is_pooled: bool) -> Found:
    """A folder without lists: in the format that is asked for, or that it seems to have."""
    place = asked.images_dir
    if not storage.is_folder(place):
        raise ValueError(f'{place} is not a folder')
    there = detect.look(place, '' if asked.format == 'auto' else asked.format)
    place, kind, unlabelled = there.place, there.kind, asked.unlabelled or UNLABELLED[there.kind]
    if kind == VOC:
        found = _find_voc(place, asked, given_splits, is_pooled)
    elif kind == COCO:
        walked = {place: files.images_of(there.paths)}
        found = coco.find(detect.split_jsons(place, there.paths), place, given_splits, unlabelled, walked)
    elif kind == YOLO:
        found = yolo.find(place, given_splits, unlabelled, there.paths)
    else:
        folders = voc.folders_of(place)
        below = [detect.below(folder, place, there.paths) for folder in folders]
        found = folder.find(*folders, given_splits, unlabelled, (below[0], below[1]))
    said = f'{place} was taken for {detect.NAMES[kind]}: {there.reason or f"--format={kind}"}. '
    said += 'All of its images are given out by --make_splits' if is_pooled else f'Splits: {", ".join(found.splits)}'
    if ALL in found.splits and not is_pooled:
        said += ' (no folders train, valid or test divide it; keep some images for a test by --make_splits)'
    return Found(found.source, found.splits, found.notes, said)
