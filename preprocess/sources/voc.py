"""Where the annotations, images and lists of VOC-style data are."""

import posixpath
from collections.abc import Sequence

from yolo import storage
from yolo.data.voc_folder import Source
from yolo.names import check_file_names


def voc_folder(voc_dir: str, splits: Sequence[str]) -> tuple[Source, dict[str, str]]:
    """The folders of a VOC folder, and the path of each split's list.

    ValueError if a folder is not there, or a split's name cannot be a part of a file's name.
    """
    check_file_names(splits, f'--splits={",".join(splits)}')
    lists = posixpath.join(voc_dir, 'ImageSets', 'Main')
    source = Source(posixpath.join(voc_dir, 'Annotations'), posixpath.join(voc_dir, 'JPEGImages'))
    return _checked(source), {name: posixpath.join(lists, f'{name}.txt') for name in splits}


def separate_folders(
    annotations_dir: str, images_dir: str, split_files: Sequence[str]
) -> tuple[Source, dict[str, str]]:
    """The same for annotations and images in any folders; split_files: lists of image ids as name=file.

    ValueError if one of the three is missing, a folder is not there, or a split is not name=file, named twice, or
    cannot be a part of a file's name.
    """
    if not (annotations_dir and images_dir and split_files):
        raise ValueError('--annotations_dir, --images_dir and --split_files go together')
    splits = dict(_split_file(text) for text in split_files)
    if len(splits) < len(split_files):
        raise ValueError(f'--split_files={",".join(split_files)}: a name is there twice')
    check_file_names(splits, f'--split_files={",".join(split_files)}')
    return _checked(Source(annotations_dir, images_dir)), splits


def _split_file(text: str) -> tuple[str, str]:
    name, equals, path = text.partition('=')
    if not (name and equals and path):
        raise ValueError(f'--split_files: {text!r} is not name=file')
    return name, path


def _checked(source: Source) -> Source:
    for folder in (source.annotations_dir, source.images_dir):
        if not storage.is_folder(folder):
            raise ValueError(f'{folder} is not a folder')
    return source
