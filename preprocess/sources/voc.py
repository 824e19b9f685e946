"""Where the annotations, images and lists of VOC-style data are."""

import posixpath
from collections.abc import Sequence

from yolo.data.voc_folder import LEAVE_OUT, Source, checked
from yolo.names import check_file_names


def voc_folder(voc_dir: str, splits: Sequence[str], unlabelled: str = LEAVE_OUT) -> tuple[Source, dict[str, str]]:
    """The folders of a VOC folder, and the path of each split's list.

    ValueError if a folder is not there, or a split's name cannot be a part of a file's name.
    """
    check_file_names(splits, f'--splits={",".join(splits)}')
    lists = posixpath.join(voc_dir, 'ImageSets', 'Main')
    annotations_dir, images_dir = (posixpath.join(voc_dir, name) for name in ('Annotations', 'JPEGImages'))
    source = Source(annotations_dir, images_dir, unlabelled=unlabelled)
    return checked(source), {name: posixpath.join(lists, f'{name}.txt') for name in splits}


def separate_folders(
    annotations_dir: str, images_dir: str, split_files: Sequence[str], unlabelled: str = LEAVE_OUT
) -> tuple[Source, dict[str, str]]:
    """The same for annotations and images in any folders; split_files: lists of image ids as name=file.

    ValueError if a folder is not there, or a split is not name=file, named twice, or cannot be a part of a file's name.
    """
    splits = dict(split_file(text) for text in split_files)
    if len(splits) < len(split_files):
        raise ValueError(f'--split_files={",".join(split_files)}: a name is there twice')
    check_file_names(splits, f'--split_files={",".join(split_files)}')
    return checked(Source(annotations_dir, images_dir, unlabelled=unlabelled)), splits


def split_file(text: str, flag: str = '--split_files') -> tuple[str, str]:
    """Name and path of a split given as name=file; ValueError if it is not."""
    name, equals, path = text.partition('=')
    if not (name and equals and path):
        raise ValueError(f'{flag}: {text!r} is not name=file')
    return name, path
