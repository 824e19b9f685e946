"""What a folder is that is given without a word on its format, by the files in it."""

import dataclasses
import posixpath
from collections.abc import Sequence

from preprocess.settings import COCO, VOC, XML, YOLO
from preprocess.sources import files, yolo
from preprocess.sources.split_folders import ALL, SPLIT_FOLDERS

ROBOFLOW_COCO = '_annotations.coco.json'
LISTS = 'ImageSets/Main'
NAMES = {
    VOC: 'a VOC folder with lists',
    XML: 'images with VOC XML',
    COCO: "COCO's JSON as Roboflow exports it",
    YOLO: 'a YOLO dataset',
}


@dataclasses.dataclass(frozen=True)
class Folder:
    """A folder: its path, what is in it, its format, and why it was taken for that ('' if the user said so)."""

    place: str
    paths: list[str]
    kind: str
    reason: str = ''


def look(place: str, kind: str = '') -> Folder:
    """A folder of that format, or of the one that it has; ValueError if it has none, or more than one."""
    paths = [] if kind == VOC else list(files.walk(place))
    if kind:
        return Folder(place, paths, kind)
    reasons = {}
    xml = [path for path in paths if files.suffix(path) == files.XML]
    roots = _folders_of_lists(paths, xml)
    if roots:
        where = ' and '.join(posixpath.join(root, LISTS) for root in roots)
        reasons[VOC] = f'it has Annotations and {where}'
    elif xml:
        reasons[XML] = f'it has {len(xml)} XML files, such as {xml[0]}, and no {LISTS}'
    jsons = _jsons(paths)
    if jsons:
        reasons[COCO] = f'it has {", ".join(jsons[:4])}'
    names, texts = yolo.descriptions_in(paths), _texts_of_images(paths)
    if names and texts:
        reasons[YOLO] = f'it has {names[0]} and {len(texts)} texts with names of images, such as {texts[0]}'
    if len(reasons) > 1:
        text = '; '.join(f'--format={kind}: {reason}' for kind, reason in reasons.items())
        raise ValueError(f'{place} can be taken for more than one thing; say which it is by {text}')
    if len(roots) > 1:
        raise ValueError(f'{place}: {reasons[VOC]}; give one of these folders by --voc_dir')
    if not reasons:
        raise ValueError(_describe_unknown(place, paths, texts))
    kind, reason = next(iter(reasons.items()))
    return Folder(posixpath.join(place, roots[0]) if kind == VOC and roots[0] else place, paths, kind, reason)


def _folders_of_lists(paths: Sequence[str], xml: Sequence[str]) -> list[str]:
    """The folders that have lists as VOC's have, '' for the folder itself, and Annotations."""
    ends = [f'/{path}'.partition(f'/{LISTS}/') for path in paths if files.suffix(path) == files.TEXT]
    roots = dict.fromkeys(before.removeprefix('/') for before, lists, _ in ends if lists)
    return [root for root in roots if any(path.startswith(posixpath.join(root, 'Annotations/')) for path in xml)]


def _jsons(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if posixpath.basename(path) == ROBOFLOW_COCO]


def _texts_of_images(paths: Sequence[str]) -> list[str]:
    """The texts that have the name of an image, with its suffix or without."""
    images = files.images_of(paths)
    names = {files.loose_name_of(image) for image in images}
    whole = {files.loose_name_of(f'{image}{files.TEXT}') for image in images}  # a.jpg.txt
    texts = [path for path in paths if files.suffix(path) == files.TEXT]
    return [text for text in texts if files.loose_name_of(text) in names or files.loose_name_of(text) in whole]


def _describe_unknown(place: str, paths: Sequence[str], texts: Sequence[str]) -> str:
    text = f'{place} has {len(files.images_of(paths))} images and no annotations that are known: VOC XML, '
    text += f'{ROBOFLOW_COCO} (or --coco=train=FILE.json), or YOLO texts with a data.yaml or classes.txt'
    jsons = [path for path in paths if files.suffix(path) == '.json']
    if texts:
        text += f'. It has {len(texts)} texts, such as {texts[0]}, but no names of their classes: write classes.txt'
    return text + (f'. It has {jsons[0]}: if that is COCO, give it by --coco' if jsons else '')


def split_jsons(place: str, paths: Sequence[str]) -> dict[str, str]:
    """The JSON of each split: those in its folders, by the folder's name in small letters, or the only one.

    ValueError if there is none, or two are of one split.
    """
    jsons = _jsons(paths)
    if not jsons:
        raise ValueError(f'{place} has no {ROBOFLOW_COCO}, and none in a folder in it')
    folders = [posixpath.basename(posixpath.dirname(path)).lower() for path in jsons]
    if len(jsons) == 1 and folders[0] not in SPLIT_FOLDERS:
        return {ALL: posixpath.join(place, jsons[0])}
    if len(set(folders)) < len(jsons) or '' in folders:
        raise ValueError(f'{place} has {", ".join(jsons[:6])}: say by --coco=train=FILE.json,... which split each is')
    by_split = dict(zip(folders, (posixpath.join(place, path) for path in jsons), strict=True))
    order = [name for name in SPLIT_FOLDERS if name in by_split]
    return {name: by_split[name] for name in dict.fromkeys([*order, *sorted(by_split)])}


def below(folder: str, place: str, paths: Sequence[str]) -> list[str]:
    """Those of the paths in a place that lie in a folder of it, relative to that."""
    inside = folder.removeprefix(place).strip('/')
    return [path.removeprefix(f'{inside}/') for path in paths if path.startswith(f'{inside}/') or not inside]
