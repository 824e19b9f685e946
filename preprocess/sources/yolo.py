"""YOLO datasets: a data.yaml as Ultralytics and Roboflow write it, or a folder of texts with the names of the classes.

python -m preprocess --yolo=data.yaml --out_dir=data/mine
"""

import posixpath
from collections.abc import Sequence

from preprocess.sources import files, found, pairing, split_folders, yolo_texts, yolo_yaml
from preprocess.sources.found import Found
from preprocess.sources.yolo_texts import NAMES_FILES
from yolo import storage
from yolo.data.voc_folder import Source


def find(path: str, wanted: Sequence[str] | None, unlabelled: str, paths: Sequence[str] | None = None) -> Found:
    """The splits of a data.yaml, or of a folder with one, or with a file of names.

    paths: what is in the folder, where it is known. ValueError if images, texts or names are not there.
    """
    if not storage.is_folder(path):
        return yolo_yaml.find(path, wanted, unlabelled)
    there = storage.names(path)
    described = [name for name in there if files.suffix(name) in ('.yaml', '.yml')]
    if len(described) > 1 and 'data.yaml' in described:
        described = ['data.yaml']
    if len(described) == 1:
        return yolo_yaml.find(posixpath.join(path, described[0]), wanted, unlabelled)
    if described:
        raise ValueError(f'{path} has {", ".join(described)}: give one of them by --yolo')
    named = next((name for name in NAMES_FILES if name in there), None)
    if named is None:
        raise ValueError(f'{path} has neither a data.yaml nor names of classes ({", ".join(NAMES_FILES)})')
    return _find_texts(path, named, wanted, unlabelled, paths)


def _find_texts(
    folder: str, named: str, wanted: Sequence[str] | None, unlabelled: str, paths: Sequence[str] | None
) -> Found:
    """Images with texts beside them or in other folders: what LabelImg leaves when it saves YOLO."""
    place = posixpath.join(folder, named)
    classes = yolo_yaml.check_classes(yolo_yaml.read_text(place).splitlines(), place)
    paths = list(files.walk(folder)) if paths is None else paths
    images = files.images_of(paths)
    texts = [path for path in paths if files.suffix(path) == files.TEXT and posixpath.basename(path) not in NAMES_FILES]
    pairs = pairing.pair(images, texts)
    if not pairs:
        raise ValueError(f'{folder} has {len(images)} images, and no YOLO text with the name of one of them')
    ids = files.make_ids(images)
    samples = {ids[image]: found.make_sample(folder, image, folder, pairs.get(image, '')) for image in images}
    source = Source(folder, folder, samples, classes, unlabelled)
    labelled = frozenset(ids[image] for image in pairs)
    used = set(pairs.values())
    left = [text for text in texts if text not in used and yolo_texts.holds_boxes(posixpath.join(folder, text))]
    result = found.gather(source, split_folders.split_by_folder(list(samples)), wanted, labelled)
    return result.with_notes(pairing.describe(pairs, [*used, *left]))
