"""Damaged COCO JSON, YOLO texts, data.yaml and folders of images, each found and preprocessed as a run does."""

import json
import pathlib

import numpy as np
from case import Case
from data_kinds import RARE, preprocess_image
from mutations import ODD_TEXTS, choose, damage, damage_json, replace_by_something_else

from preprocess.sources import coco, detect, folder, yolo
from preprocess.sources import voc as voc_lists

COCO = {
    'images': [{'id': 1, 'file_name': 'trainval_00001.jpg', 'width': 416, 'height': 416}],
    'categories': [{'id': 3, 'name': 'circle'}, {'id': 4, 'name': 'star'}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'category_id': 3, 'bbox': [10, 20, 30.5, 40], 'iscrowd': 0},
        {'id': 2, 'image_id': 1, 'category_id': 4, 'bbox': [1, 2, 3, 4], 'iscrowd': 1},
    ],
}
YAML = 'path: .\ntrain: images\nval: [images]\nnames:\n  0: circle\n  1: star\n'
TEXT = '0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.3 0.2 0.2 0.4\n'


def sources_of_annotations(case: Case) -> None:
    """One damaged file of a COCO or YOLO dataset, or a folder of images and XML with odd names."""
    voc = case.copy('VOC')
    images = voc / 'JPEGImages'
    kind = choose(case.rng, ['coco'] * 3 + ['yaml'] * 2 + ['text'] * 2 + ['folder'])
    if kind == 'coco':
        path = images / 'a.json'
        path.write_bytes(damage_json(case.rng, json.dumps(COCO).encode()))
        _sometimes_no_file(case, path)
        found = coco.find({'a': str(path)}, '', None, 'background')
    elif kind == 'folder':
        for path in list(images.iterdir())[:3]:
            path.rename(images / f'{choose(case.rng, [text for text in ODD_TEXTS if _is_name(text)])}.JPG')
        found = folder.find(*voc_lists.folders_of(str(voc)), None, 'leave_out')
        detect.look(str(voc))
    else:
        (voc / 'labels').mkdir()
        images.rename(voc / 'images')
        (voc / 'data.yaml').write_bytes(_damaged(case, YAML) if kind == 'yaml' else YAML.encode())
        text = voc / 'labels/trainval_00001.txt'
        text.write_bytes(_damaged(case, TEXT) if kind == 'text' else TEXT.encode())
        _sometimes_no_file(case, voc / 'data.yaml' if kind == 'yaml' else text)
        found = yolo.find(str(voc / 'data.yaml'), None, 'background')
    for ids in found.splits.values():
        for image_id in ids[:3]:
            preprocess_image(case, found.source, image_id)


def _sometimes_no_file(case: Case, path: pathlib.Path) -> None:
    if case.rng.random() < RARE:
        replace_by_something_else(case.rng, path)


def _is_name(text: str) -> bool:
    return '/' not in text and len(text) < 100


def _damaged(case: Case, text: str) -> bytes:
    rng: np.random.Generator = case.rng
    if rng.random() < 0.5:
        return damage(rng, text.encode())
    words = text.split(' ')
    words[int(rng.integers(len(words)))] = choose(rng, ODD_TEXTS)
    return ' '.join(words).encode()
