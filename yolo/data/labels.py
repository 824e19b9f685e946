"""The names of classes, as --labels gives them."""

from collections.abc import Sequence

from yolo import storage
from yolo.names import check_file_names

MOST_BYTES = 1 << 20  # of a file of names
VOC = (
    'aeroplane',
    'bicycle',
    'bird',
    'boat',
    'bottle',
    'bus',
    'car',
    'cat',
    'chair',
    'cow',
    'diningtable',
    'dog',
    'horse',
    'motorbike',
    'person',
    'pottedplant',
    'sheep',
    'sofa',
    'train',
    'tvmonitor',
)


def read(text: str, flag: str = '--labels') -> tuple[str, ...]:
    """The names that --labels stands for; text: a comma list, the path of a file with one name a line, or voc.

    flag: another one of the same form, for messages.

    ValueError if there is no name or such a file, a name occurs twice, or one cannot be a part of a file's name.
    """
    if text == 'voc':
        return VOC
    lines = text.replace(',', '\n')
    if ',' not in text and storage.is_file(text):
        lines = storage.read(text, MOST_BYTES).decode('utf-8-sig')
    elif ',' not in text and storage.exists(text) and not storage.is_folder(text):
        raise ValueError(f'{flag}={text}: it is not a regular file')
    elif ',' not in text and ('/' in text or text.endswith(('.txt', '.names'))):
        raise ValueError(f'{flag}={text}: there is no such file')
    names = tuple(name.strip() for name in lines.splitlines() if name.strip())
    if not names or len(set(names)) < len(names):
        raise ValueError(f'{flag}={text}: {"no names" if not names else "a name is there twice"}')
    check_file_names(names, f'{flag}={text}')
    return names


def complete(names: Sequence[str], number: int) -> tuple[str, ...]:
    """The names of the classes of a network, or 'class 0', 'class 1' and so on where they are unknown."""
    return tuple(names) or tuple(f'class {i}' for i in range(number))


def to_text(names: Sequence[str]) -> str:
    """The text of a file of names, one a line."""
    return ''.join(f'{name}\n' for name in names)
