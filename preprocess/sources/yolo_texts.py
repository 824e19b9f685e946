"""The YOLO text of each image that a data.yaml names."""

import functools
import posixpath
from collections.abc import Callable, Iterator, Sequence

from preprocess.sources import files, pairing
from yolo import storage
from yolo.data import yolo_txt

NAMES_FILES = ('classes.txt', 'obj.names', 'classes.names', 'labels.txt')
LOOKED_AT_BYTES = 1 << 20  # of a text that belongs to no image


def find(images: Sequence[str], root: str) -> tuple[dict[str, str], list[str]]:
    """The text of each image that has one, and notes on texts that are those of none, or have another name.

    images: their paths; root: the folder of the dataset. Texts are where Ultralytics has them, or beside the images;
    those that then are of no image may have a name that differs a little (`pairing.pair`).
    """
    names_in = functools.cache(_names_in)
    texts: dict[str, str] = {}
    folders = set()  # in which there may be texts
    for image in images:
        places = list(dict.fromkeys(_places(image, root)))
        there = [place for place in places if posixpath.basename(place) in names_in(posixpath.dirname(place))]
        texts |= {image: there[0]} if there else {}
        folders |= {posixpath.dirname(place) for place in there[:1] or places[:2]}
    used = set(texts.values())
    others = [posixpath.join(folder, name) for folder in sorted(folders) for name in sorted(names_in(folder))]
    others = [path for path in others if files.suffix(path) == files.TEXT and path not in used]
    if not others:
        return texts, []
    named = {each: next(_places(each, root)) for each in _all_images(images, names_in) if each not in texts}
    expected = {inside(files.stem(place) + files.suffix(image), root): image for image, place in named.items()}
    pairs = pairing.pair(list(expected), [inside(path, root) for path in others])
    found = {expected[key]: text for key, text in pairs.items()}
    own = {image: posixpath.join(root, found[image]) for image in images if image in found}
    paired = set(pairs.values())
    left = [inside(path, root) for path in others if inside(path, root) not in paired and holds_boxes(path)]
    used_names = {inside(image, root): inside(text, root) for image, text in own.items()}
    return texts | own, pairing.describe(used_names, [*used_names.values(), *left])


def inside(path: str, root: str) -> str:
    """A path relative to the dataset's folder; of one that is not in it all but what leads there."""
    return path.removeprefix(root + '/').lstrip('/')


def _places(image: str, root: str) -> Iterator[str]:
    """Where the text of an image may be: in `labels` where the path has `images`, within the dataset first; beside it.

    Of several `images` the last is meant.
    """
    within, beside = inside(image, root), files.stem(image) + '.txt'
    head = image[: len(image) - len(within)]
    for start, path in ((head, within), ('', image)):
        before, images, after = f'/{files.stem(path)}'.rpartition('/images/')
        yield start + f'{before}/labels/{after}.txt'[1:] if images else beside
        yield beside


def _names_in(folder: str) -> frozenset[str]:
    return frozenset(storage.names(folder)) if storage.is_folder(folder) else frozenset()


def _all_images(images: Sequence[str], names_in: Callable[[str], frozenset[str]]) -> list[str]:
    """The images and those beside them, which a list may leave out and which may have texts of their own."""
    folders = dict.fromkeys(posixpath.dirname(image) for image in images)
    beside = [posixpath.join(folder, name) for folder in folders for name in files.images_of(names_in(folder))]
    return list(dict.fromkeys([*images, *beside]))


def holds_boxes(path: str) -> bool:
    """Whether a text is one of boxes, or empty: no list, no list of names, and nothing to be read by people."""
    if posixpath.basename(path) in NAMES_FILES:
        return False
    try:
        lines = storage.read(path, LOOKED_AT_BYTES).decode('utf-8-sig').splitlines()
        words = next((line.split() for line in lines if line.strip()), None)
        return words is None or (len(words) >= yolo_txt.BOX_WORDS and all(float(word) >= -1 for word in words))
    except (ValueError, OSError):
        return False
