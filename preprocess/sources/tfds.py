"""A detection dataset of TensorFlow Datasets -> a folder laid out as VOC, which is then converted like any other.

python -m preprocess --tfds=voc/2007 --splits=train,test --voc_dir=data/VOC2007 --out_dir=data/voc416
"""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from yolo import lock, storage
from yolo.data import voc_xml
from yolo.data.image_size import size_in_header

MARK = 'tfds.txt'  # in the VOC folder: the dataset that it holds
FLAGS = ('difficult', 'truncated')  # of objects: in TFDS with is_ before


def export(name: str, splits: Sequence[str], voc_dir: str, data_dir: str | None = None) -> None:
    """Downloads a dataset if need be, and writes those of its splits that are not in `voc_dir` yet.

    name: as TFDS spells it, with objects/bbox and objects/label; splits: also parts such as train[:100]; data_dir:
    where TFDS keeps its data. A split's list is written last, so that one that is there is whole. ValueError for a
    dataset, split or feature that is not there. TFDS' boxes are relative; those of VOC there are not shifted by one
    pixel, so that they give VOC's own numbers back.
    """
    missing = [split for split in splits if not storage.exists(_list_path(voc_dir, split))]
    _check_folder(name, voc_dir, some_are_there=len(missing) < len(splits))
    if not missing:
        return
    with lock.hold(voc_dir, 'preprocess', '--voc_dir'):
        missing = [split for split in missing if not storage.exists(_list_path(voc_dir, split))]  # of another command
        _export(name, missing, voc_dir, data_dir)


def _export(name: str, missing: Sequence[str], voc_dir: str, data_dir: str | None) -> None:
    builder = _builder(name, data_dir)
    _prepare(builder, name)
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        storage.make_folder(posixpath.join(voc_dir, folder))
    storage.write(posixpath.join(voc_dir, MARK), f'{name}\n')
    for split in missing:
        _write_split(builder, name, split, voc_dir)


def _check_folder(name: str, voc_dir: str, some_are_there: bool) -> None:
    """ValueError if the folder holds another dataset, or lists that were not written here."""
    mark = posixpath.join(voc_dir, MARK)
    there = storage.read(mark).decode().strip() if storage.exists(mark) else None
    if there != name and (there is not None or some_are_there):
        raise ValueError(
            f'--tfds={name}: {voc_dir!r} holds {there or "lists that are not of TFDS"}; give another --voc_dir'
        )


def _builder(name: str, data_dir: str | None) -> Any:
    """The TFDS builder of a detection dataset; ValueError if there is none of that name, or it has no boxes."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ValueError(
            f'--tfds={name} needs tensorflow-datasets, which needs Python 3.11 or later ({error})'
        ) from error
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except (tfds.core.DatasetNotFoundError, ValueError, FileNotFoundError) as error:
        raise ValueError(f'--tfds={name}: {error}') from error
    features = builder.info.features
    objects = features['objects'].feature if 'objects' in features else {}
    if 'image' not in features or 'bbox' not in objects or 'label' not in objects:
        raise ValueError(
            f'--tfds={name}: a detection dataset has image, objects/bbox and objects/label; this one has '
            f'{", ".join(features)}'
        )
    return builder


def _prepare(builder: Any, name: str) -> None:
    """Downloads a dataset if need be.

    ValueError, of one line, if its address does not answer, or gives other files than expected, or if it is made of
    files that everybody has to fetch and that are not there.
    """
    import tensorflow_datasets as tfds

    errors = OSError, tfds.download.DownloadError, tfds.core.download.download_manager.NonMatchingChecksumError
    try:
        builder.download_and_prepare()
    except (*errors, AssertionError) as error:
        if isinstance(error, AssertionError) and not builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
            raise
        manual = posixpath.join(builder.data_dir_root, 'downloads', 'manual')
        said = ' '.join(str(error).split())
        raise ValueError(f'--tfds={name}: {said}; files that you have already are taken from {manual}') from error


def _open_split(builder: Any, name: str, split: str) -> Any:
    """The examples of a split; ValueError if there is no such split, or none of its images has an object."""
    import tensorflow_datasets as tfds

    try:
        dataset = builder.as_dataset(split=split, decoders={'image': tfds.decode.SkipDecoding()})
    except ValueError as error:
        raise ValueError(f'--splits={split}: {error}') from error
    if not any(len(example['objects']['label']) for example in tfds.as_numpy(dataset)):  # the first one, mostly
        raise ValueError(
            f'--splits={split}: no image of it has an object: {name} has no annotations for it, or they are kept '
            'secret; leave it out'
        )
    return dataset


def _write_split(builder: Any, name: str, split: str, voc_dir: str) -> None:
    """Writes images, annotations and, last, the list of a split: in the order of ids, since TFDS has a mixed one."""
    import tensorflow_datasets as tfds

    names = builder.info.features['objects']['label'].names
    shift = 0 if name.split('/')[0] == 'voc' else 1
    examples = tfds.as_numpy(_open_split(builder, name, split))
    ids, num_crowds = [], 0
    for number, example in enumerate(tqdm(examples, desc=f'{name} {split}', disable=None)):
        numbered = f'{split}_{number:08d}'.translate(str.maketrans('[]:%', '____'))
        named = _own_name(example) or numbered
        files = _format_example(named, example, names, shift)
        if named != numbered and _is_taken(voc_dir, files):
            named, files = numbered, _format_example(numbered, example, names, shift)
        for path, data in files.items():
            storage.make_folder(posixpath.dirname(posixpath.join(voc_dir, path)))
            storage.write(posixpath.join(voc_dir, path), data)
        ids.append(named)
        num_crowds += int(np.sum(example['objects'].get('is_crowd', 0)))
    if num_crowds:
        logging.warning(
            '--tfds=%s: VOC has no crowds: %s of %s are ordinary objects now; --coco makes them ignore regions',
            *(name, f'{num_crowds:,}', split),
        )
    storage.write(_list_path(voc_dir, split), ''.join(f'{image_id}\n' for image_id in sorted(ids)))


def _own_name(example: dict) -> str:
    """The name that the dataset gives an image, without the suffix; '' for none, or one that leads to other folders."""
    name = posixpath.splitext(example.get('image/filename', b'').decode())[0]
    return '' if {'', '.', '..'} & set(name.split('/')) else name


def _list_path(voc_dir: str, split: str) -> str:
    return posixpath.join(voc_dir, 'ImageSets', 'Main', f'{split}.txt')


def _is_taken(voc_dir: str, files: Mapping[str, bytes]) -> bool:
    """Whether another image, as of another split, has these names already, or the same one with other objects."""
    paths = {posixpath.join(voc_dir, path): data for path, data in files.items()}
    there = {path: storage.read(path) for path in paths if storage.exists(path)}
    others = [path for path, data in there.items() if data != paths[path]]
    return not all(path.endswith('.xml') and _are_same(there[path], paths[path]) for path in others)


def _are_same(first: bytes, second: bytes) -> bool:
    """Whether two XML are of one file and have the same objects: those of an earlier version have no <truncated>."""
    try:
        one, other = map(voc_xml.parse_annotation, (first, second))
    except ValueError:
        return False
    compared = ('filename', 'names', 'boxes', 'difficult')
    return all(np.array_equal(getattr(one, field), getattr(other, field)) for field in compared)


def _format_example(image_id: str, example: dict, names: Sequence[str], shift: int) -> dict[str, bytes]:
    """The image and the annotation of an example, by their paths in the VOC folder."""
    data = example['image']
    height, width = size_in_header(data) or (0, 0)  # 0: the conversion will say so
    suffix = '.jpg' if data[:2] == b'\xff\xd8' else '.png'
    ymin, xmin, ymax, xmax = np.asarray(example['objects']['bbox'], float).reshape(-1, 4).T
    boxes = np.stack([xmin * width + shift, ymin * height + shift, xmax * width, ymax * height], 1)
    labels = [names[label] if label >= 0 else '' for label in example['objects']['label']]  # -1: unknown
    unset = np.zeros(len(labels))
    difficult, truncated = (np.asarray(example['objects'].get(f'is_{flag}', unset), bool) for flag in FLAGS)
    annotation = _format(image_id + suffix, (height, width), labels, boxes, difficult, truncated)
    return {f'JPEGImages/{image_id}{suffix}': data, f'Annotations/{image_id}.xml': annotation}


def _format(
    filename: str,
    size: tuple[int, int],
    labels: Sequence[str],
    boxes: np.ndarray,
    difficult: np.ndarray,
    truncated: np.ndarray,
) -> bytes:
    """A VOC XML; boxes (N, 4) in VOC pixels, to a thousandth: TFDS keeps float32."""
    objects = []
    for label, box, *flags in zip(labels, boxes, difficult, truncated, strict=True):
        sides = {side: f'{value:.3f}' for side, value in zip(voc_xml.SIDES, box, strict=True)}
        objects.append({'name': label, **dict(zip(FLAGS, map(int, flags), strict=True)), 'bndbox': sides})
    head = {'filename': filename, 'size': {'width': size[1], 'height': size[0]}}
    return voc_xml.format_annotation(head, objects, declaration=True)
