"""A small project to damage: a VOC folder, its records, a run of four steps, its evaluation, its files elsewhere."""

import importlib
import os
import pathlib

import cv2
import numpy as np

import yolo.__main__
from preprocess import __main__ as preprocess_main
from yolo.cli import flags

SMALL = pathlib.Path(__file__).parent.parent / 'data' / 'small.cfg'


def command_of(name: str) -> flags.Command:
    """A command by the name of its script, or of its first word behind `yolo` or `preprocess`."""
    if name in yolo.__main__.COMMANDS:
        return yolo.__main__.COMMANDS[name]
    if name in preprocess_main.COMMANDS:
        return importlib.import_module(preprocess_main.COMMANDS[name]).COMMAND
    return preprocess_main.COMMAND if name == 'preprocess' else importlib.import_module(name).COMMAND


def call(name: str, *words: str) -> int:
    """Runs a command within this process; its exit status."""
    try:
        flags.run(command_of(name), [name, *words])
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    raise AssertionError(f'{name} did not end')


def make(folder: pathlib.Path) -> None:
    """Makes all of it in an empty folder; RuntimeError if a command fails."""
    voc, data, run = folder / 'VOC', folder / 'records', folder / 'run'
    (folder / 'labels.txt').write_text('circle\nring\nsquare\nstar\ntriangle\n')
    (folder / 'label_map.txt').write_text('ring=circle\nstar=\nmoon\tsun\n')
    _call('shapes', f'--out_dir={voc}', '--num_train=6', '--num_test=4')
    _call(
        'preprocess',
        f'--voc_dir={voc}',
        f'--out_dir={data}',
        '--image_size=64',
        '--num_shards=2',
        '--workers=1',
        f'--labels={folder}/labels.txt',
    )
    small = (f'--model={SMALL}', '--batch_size=2', '--nomulti_scale', '--nojit_compile')
    steps = ('--num_steps=4', '--checkpoint_every=2', '--eval_split=test', '--eval_every=2')
    _call('train', f'--data_dir={data}', f'--model_dir={run}', *small, *steps)
    evaluation = (f'--report_dir={folder}/report', f'--write_detections={folder}/devkit')
    _call('eval', f'--data_dir={data}', f'--model_dir={run}', '--score_threshold=0.001', *evaluation)
    darknet = (f'--cfg_out={folder}/m.cfg', f'--weights_out={folder}/m.weights')
    _call('convert', f'--model_dir={run}', *darknet, f'--keras_out={folder}/m.keras')
    _write_images(folder)


def _call(name: str, *words: str) -> None:
    if status := call(name, *words):
        raise RuntimeError(f'{name} {" ".join(words)}: status {status}')


def _write_images(folder: pathlib.Path) -> None:
    """One picture in every format: baseline and progressive JPEG, JPEG with restart markers, PNG, and the rest."""
    source = cv2.imread(str(folder / 'VOC/JPEGImages/trainval_00001.jpg'))
    image = cv2.GaussianBlur(source, (3, 3), 0)[:200, :240]
    image += np.random.default_rng(0).integers(0, 8, image.shape, np.uint8)
    os.mkdir(folder / 'images')
    for name, options in {
        'plain.jpg': [],
        'progressive.jpg': [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        'restart.jpg': [cv2.IMWRITE_JPEG_RST_INTERVAL, 8],
        'plain.png': [],
        'plain.bmp': [],
        'plain.webp': [],
        'plain.tif': [],
    }.items():
        if not cv2.imwrite(str(folder / 'images' / name), image, options):
            raise RuntimeError(f'{name} cannot be written')
