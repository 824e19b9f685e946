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
    described = descriptions_in(storage.names(path))
    if not described:
        paths = list(files.walk(path)) if paths is None else paths
        described = descriptions_in(paths)
    files_of_names = [each for each in described if files.suffix(each) == files.TEXT or each.endswith('.names')]
    if not described:
        raise ValueError(f'{path} has neither a data.yaml nor names of classes ({", ".join(NAMES_FILES)})')
    if not files_of_names and len(described) == 1:
        return yolo_yaml.find(posixpath.join(path, described[0]), wanted, unlabelled)
    contents = {yolo_yaml.read_text(posixpath.join(path, each)).strip() for each in files_of_names}
    if len(contents) != 1:
        raise ValueError(f'{path} has {", ".join(described[:6])}: give one of them, or of their folders, by --yolo')
    return _find_texts(path, described[0], wanted, unlabelled, paths)


def descriptions_in(paths: Sequence[str]) -> list[str]:
    """What names the classes of the texts among some paths: a data.yaml, or else a file of names.

    Those on top come before all others. More than one, if it is not clear which is meant.
    """
    top = [path for path in paths if '/' not in path]
    yamls = [path for path in top if files.suffix(path) in ('.yaml', '.yml')]
    named = [path for name in NAMES_FILES for path in top if path == name]
    if yamls or named:
        return [path for path in yamls if path == 'data.yaml'] or yamls or named[:1]
    deep = [path for path in paths if posixpath.basename(path) == 'data.yaml']
    return deep or [path for name in NAMES_FILES for path in paths if posixpath.basename(path) == name]


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
