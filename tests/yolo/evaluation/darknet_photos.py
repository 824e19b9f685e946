"""The photos of tests/data/darknet_valid: drawn shapes that a network of 96 x 128 pixels sees as they are, with bars.

The files there are what Darknet's own program printed for them (github.com/pjreddie/darknet, commit f6afaabc, on a
CPU): `darknet detector valid` with yolov2-tiny-w16.cfg and .weights of tests/data/darknet, the classes below, and these
photos as PNG, which `python tests/yolo/evaluation/darknet_photos.py FOLDER` writes into FOLDER/JPEGImages. Nothing is
resized, so that Darknet's and OpenCV's ways to resize, which differ, play no part.
"""

import pathlib
import sys

import numpy as np

from preprocess.demo import shapes
from yolo.data import images, voc_xml

LABELS = ('circle', 'ring', 'square')
# Height and width: without bars, with bars above and below, left and right, and above and below of half a pixel more.
PHOTOS = {'whole': (128, 96), 'wide': (100, 96), 'tall': (128, 80), 'odd': (101, 96)}


def draw(name: str) -> np.ndarray:
    """A photo (H, W, 3) uint8 RGB."""
    height, width = PHOTOS[name]
    return shapes.draw_image(0, 1, 4 + list(PHOTOS).index(name))[0][60 : 60 + height, 60 : 60 + width]


def write(folder: pathlib.Path) -> None:
    """Writes the photos as a VOC folder with the split test; each has one object, as there must be one."""
    for name in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, (height, width) in PHOTOS.items():
        (folder / f'JPEGImages/{name}.png').write_bytes(images.encode_png(draw(name)))
        box = dict(zip(voc_xml.SIDES, (1, 1, width, height), strict=True))
        head = {'filename': f'{name}.png', 'size': {'width': width, 'height': height, 'depth': 3}}
        elements = [{'name': LABELS[0], 'difficult': 0, 'bndbox': box}]
        (folder / f'Annotations/{name}.xml').write_bytes(voc_xml.format_annotation(head, elements, declaration=False))
    (folder / 'ImageSets/Main/test.txt').write_text('\n'.join(PHOTOS))


if __name__ == '__main__':
    write(pathlib.Path(sys.argv[1]))
