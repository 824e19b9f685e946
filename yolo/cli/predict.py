"""Detects objects in images, videos, cameras and streams: draws them, and writes what was detected.

  python -m yolo predict --model_dir=runs/voc --source=photos --out_dir=predictions

Images are listed in detections.json, the frames of videos in detections.jsonl. Exit status: 1 if an image or a video
could not be read or is damaged (the others are written), 130 after Ctrl-C (what was done until then is kept), else 0.
"""

import dataclasses
import functools
import posixpath
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from absl import logging
from absl.flags import FlagValues

from yolo.backends.runtimes import backend_setting
from yolo.cli import flags
from yolo.data.image_settings import damaged_setting, max_pixels_setting
from yolo.detection import best_f1
from yolo.detection.options import (
    box_convention_setting,
    checkpoint_setting,
    max_detections_setting,
    model_dir_setting,
    nms_iou_setting,
    nms_scope_setting,
    nms_setting,
    score_threshold_setting,
)
from yolo.detection.thresholds import PHOTO_MAX_DETECTIONS, PHOTO_SCORE_THRESHOLD
from yolo.geometry.letterbox import RESIZES
from yolo.prediction import writers
from yolo.prediction.tiles import TiledDetector, Tiling, overlap_setting, parse_tiles
from yolo.settings import setting

if TYPE_CHECKING:
    from yolo.detection.detector import Detector
    from yolo.prediction.sources import Sources

SOURCES, MODEL, OUTPUT = 'Where to detect', 'Model', 'What is written'
WITHOUT_TENSORFLOW = ('.onnx', '.tflite')  # endings of models whose runtimes need none


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """In what to detect, and with which model."""

    source: str = setting(
        None,
        'An image, a video, a folder, a pattern such as photos/a*.jpg, the number of a camera, an address such as '
        'rtsp://host/path, or a .txt file with one of these a line (no pattern), relative to the current folder.',
        group=SOURCES,
    )
    images: str = setting(None, 'The older name of --source.', group=SOURCES)
    recursive: bool = setting(False, 'Also search the folders in a folder.', group=SOURCES)
    max_frames: int = setting(
        None, 'Frames of each video, camera or stream.', group=SOURCES, low=1, high=1 << 40, unset='to its end'
    )
    damaged: str = damaged_setting(SOURCES)
    max_pixels: int = max_pixels_setting(SOURCES)
    model_dir: str = model_dir_setting(MODEL)
    model: str = setting(
        None,
        "In place of it any model: also a file or SavedModel of yolo export, a .keras file, or Darknet's .cfg.",
        group=MODEL,
    )
    weights: str = setting('', "Darknet's .weights, with a .cfg as --model.", group=MODEL)
    backend: str = backend_setting(MODEL)
    checkpoint: str = checkpoint_setting(MODEL)
    score_threshold: float = score_threshold_setting(PHOTO_SCORE_THRESHOLD, MODEL, (best_f1.WORD,))
    metrics: str = setting(
        None,
        f'metrics.json of eval.py, for --score_threshold={best_f1.WORD}.',
        group=MODEL,
        unset='the one in report in the folder of the run; of an exported model what it has of it',
    )
    nms_iou: float = nms_iou_setting(MODEL)
    nms_scope: str = nms_scope_setting(MODEL)
    nms: str = nms_setting(MODEL)
    resize: str = setting(
        None,
        "How images are resized to the network's size.",
        group=MODEL,
        choices=RESIZES,
        unset='as the model was trained',
    )
    box_convention: str = box_convention_setting(MODEL)
    max_detections: int = max_detections_setting(PHOTO_MAX_DETECTIONS, MODEL)
    batch_size: int = setting(8, 'Images at once.', group=MODEL, low=1, high=1 << 16)
    tiles: str = setting(
        None,
        'Rows x columns of tiles, such as 2x3, for large images with small objects: each tile is detected in as an '
        'image of its own, and the whole image as one more.',
        group=MODEL,
        unset='the whole image alone',
    )
    tile_overlap: float = overlap_setting(MODEL)
    out_dir: str = setting(None, 'Folder for what is written.', group=OUTPUT, required=True)
    write: tuple[str, ...] = setting(
        writers.USUAL,
        'What to write: detections as json; images and videos with what was detected drawn; of images also the results '
        "of coco, yolo's texts (yolo_scores: with scores), and VOC's xml, which LabelImg opens and preprocess reads.",
        group=OUTPUT,
        choices=writers.FORMATS,
    )
    sheet: int = setting(0, 'Also draw the first N images together on one sheet.png.', group=OUTPUT, low=0, high=1000)


def predict(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    from yolo import storage
    from yolo.prediction import sources

    asked = flags.read(values, PredictSettings)
    _check(asked, flags.given(values, PredictSettings))
    found = sources.find(asked.source or asked.images, asked.recursive, asked.out_dir)
    if found.streams and set(asked.write) & set(writers.OF_PHOTOS):
        shown = ','.join(asked.write)
        raise ValueError(
            f'--write={shown}: videos have {" and ".join(writers.USUAL)} alone, and {sources.shown(found.streams[0])} '
            'is one; take the others out, or give images alone'
        )
    if not (asked.model or '').lower().endswith(WITHOUT_TENSORFLOW):
        flags.load_tensorflow()
    detector = _load_detector(asked)
    storage.make_folder(asked.out_dir)
    return _predict(asked, detector, found)


def _check(asked: PredictSettings, given: Collection[str]) -> None:
    """ValueError for flags that do not fit each other."""
    if bool(asked.source) == bool(asked.images):
        raise ValueError('give one of --source and --images: what to detect in (--help lists all flags)')
    if bool(asked.model_dir) == bool(asked.model):
        raise ValueError('give one of --model_dir and --model: what detects (--help lists all flags)')
    if asked.weights and not (asked.model or '').lower().endswith('.cfg'):
        raise ValueError(f'--weights={asked.weights} goes with a .cfg as --model')
    if not asked.write:
        raise ValueError(f'--write= writes nothing; there are {", ".join(writers.FORMATS)}')
    if asked.metrics and asked.score_threshold != best_f1.WORD:
        raise ValueError(f'--metrics={asked.metrics} goes with --score_threshold={best_f1.WORD}')
    if asked.tiles is not None:
        parse_tiles(asked.tiles)
    elif 'tile_overlap' in given:
        raise ValueError(f'--tile_overlap={asked.tile_overlap:g} goes with --tiles')
    if asked.sheet and writers.DRAWN not in asked.write:
        raise ValueError(f'--sheet={asked.sheet} shows drawn images; add drawn to --write')


def _load_detector(asked: PredictSettings) -> 'Detector':
    from yolo.backends.loading import load_detector

    detector = load_detector(
        asked.model or asked.model_dir,
        asked.checkpoint,
        asked.score_threshold,
        asked.nms_iou,
        asked.max_detections,
        asked.resize,
        asked.batch_size,
        asked.backend,
        asked.weights,
        nms_scope=asked.nms_scope,
        metrics=asked.metrics or '',
        box_convention=asked.box_convention,
        nms=asked.nms,
    )
    if asked.tiles is None:
        return detector
    return TiledDetector(detector, Tiling(*parse_tiles(asked.tiles), asked.tile_overlap))


def _predict(asked: PredictSettings, detector: 'Detector', found: 'Sources') -> int:
    """Photos first, then streams; says what was done, and returns the exit status."""
    from yolo import storage
    from yolo.prediction import photos, streams
    from yolo.prediction.stop import Stop

    stop = Stop()
    num_problems = 0
    if found.photos:
        read = functools.partial(
            photos.read_photo,
            max_pixels=asked.max_pixels,
            damaged=asked.damaged,
            grey_range=detector.grey_range,
        )
        done = photos.predict_photos(detector, found.photos, asked.out_dir, stop, asked.write, asked.sheet, read)
        num_problems += done.problems
        where = posixpath.join(asked.out_dir, photos.LIST) if writers.JSON in asked.write else asked.out_dir
        print(f'{done.objects} objects in {done.images} images: {where}')
        _warn_of_limit(done.at_limit, 'images', asked.max_detections)
    if found.streams and stop.received is None:
        for each in streams.predict_streams(
            detector, found.streams, asked.out_dir, stop, asked.write, asked.max_frames
        ):
            num_problems += bool(each.problem)
            if each.frames:
                print(f'{each}: {each.drawn or asked.out_dir}')
                _warn_of_limit(each.at_limit, 'frames', asked.max_detections)
    if stop.received is not None:
        text = f'ended; what was done until then is in {storage.printable(asked.out_dir)}'
        print(f'yolo predict: {stop.received.name}: {text}', file=sys.stderr)
        return 128 + stop.received
    return 1 if num_problems else 0


def _warn_of_limit(number: int, what: str, most: int) -> None:
    """Says that detections may have been left out."""
    if number:
        logging.warning(
            '%d %s have %d objects, as many as --max_detections allows: there may be more', number, what, most
        )


COMMAND = flags.Command('yolo predict', __doc__ or '', (PredictSettings,), predict, tensorflow=False)
