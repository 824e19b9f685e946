"""Where the annotations, images and lists of VOC-style data are."""

import posixpath
from collections.abc import Sequence

from preprocess.sources.split_folders import SPLIT_FOLDERS
from yolo import storage
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


def list_names(voc_dir: str) -> list[str]:
    """The lists of a VOC folder; none if it has no folder for them."""
    folder = posixpath.join(voc_dir, 'ImageSets', 'Main')
    names = storage.names(folder) if storage.is_folder(folder) else []
    return [name.removesuffix('.txt') for name in names if name.endswith('.txt')]


def usual_lists(voc_dir: str, names: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """The lists that are the splits, of those with these names, where nobody says it: the usual ones if they are there.

    Else those with names of splits, each image in one only, or the only list. ValueError if there are others.
    """
    if set(usual) <= set(names):
        return tuple(usual)
    splits = [name for name in SPLIT_FOLDERS if name in names]
    if 'trainval' in splits:
        splits = [name for name in splits if name not in ('train', 'val')]
    splits = splits or (list(names) if len(names) == 1 else [])
    if not splits:
        raise ValueError(f'{voc_dir} has the lists {", ".join(names[:20])}: say by --splits=NAME,... which to take')
    return tuple(splits)


def separate_folders(
    annotations_dir: str, images_dir: str, split_files: Sequence[str], unlabelled: str = LEAVE_OUT
) -> tuple[Source, dict[str, str]]:
    """The same for annotations and images in any folders; split_files: lists of image ids as name=file.

    ValueError if a folder is not there, or a split is not name=file, named twice, or cannot be a part of a file's name.
    """
    splits = by_name(split_files, '--split_files')
    check_file_names(splits, f'--split_files={",".join(split_files)}')
    return checked(Source(annotations_dir, images_dir, unlabelled=unlabelled)), splits


def folders_of(voc_dir: str) -> tuple[str, str]:
    """Where annotations and images of a folder without lists are: in VOC's folders, or without these in it itself."""
    annotations, images = (posixpath.join(voc_dir, name) for name in ('Annotations', 'JPEGImages'))
    return (
        annotations if storage.is_folder(annotations) else voc_dir,
        images if storage.is_folder(images) else voc_dir,
    )


def by_name(texts: Sequence[str], flag: str) -> dict[str, str]:
    """Paths by name, given as name=file; ValueError if one is not, or a name is there twice."""
    paths: dict[str, str] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not (name and equals and path):
            raise ValueError(f'{flag}: {text!r} is not name=file')
        paths[name] = path
    if len(paths) < len(texts):
        raise ValueError(f'{flag}={",".join(texts)}: a name is there twice')
    return paths
