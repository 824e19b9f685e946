"""Detects objects in image files: draws them and writes `detections.json`.

  python -m yolo predict --model_dir=runs/voc --images=photos --out_dir=predictions

Exit status: 1 if an image could not be read or is damaged (the others are written), 130 after Ctrl-C, else 0.
"""

import dataclasses
import json
import posixpath

from absl.flags import FlagValues

from yolo.cli import flags
from yolo.data.image_settings import damaged_setting, max_pixels_setting
from yolo.detection.options import (
    checkpoint_setting,
    max_detections_setting,
    nms_iou_setting,
    score_threshold_setting,
)
from yolo.detection.thresholds import PHOTO_MAX_DETECTIONS, PHOTO_SCORE_THRESHOLD
from yolo.geometry.letterbox import RESIZES
from yolo.settings import setting


@dataclasses.dataclass(frozen=True)
class PredictSettings:
    """In which images to detect, and with which model."""

    model_dir: str = setting(None, 'Folder of a run of train.py, or of a converted model.', required=True)
    images: str = setting(None, 'An image, a folder of images, or a pattern such as photos/a*.jpg.', required=True)
    out_dir: str = setting(None, 'Folder for the drawn images and detections.json.', required=True)
    checkpoint: str = checkpoint_setting()
    score_threshold: float = score_threshold_setting(PHOTO_SCORE_THRESHOLD)
    nms_iou: float = nms_iou_setting()
    resize: str = setting(
        None, "How images are resized to the network's size.", choices=RESIZES, unset='as the model was trained'
    )
    max_detections: int = max_detections_setting(PHOTO_MAX_DETECTIONS)
    batch_size: int = setting(8, 'Images at once.', low=1, high=1 << 16)
    damaged: str = damaged_setting()
    max_pixels: int = max_pixels_setting()
    sheet: int = setting(0, 'Also draw the first N images together on one sheet.png.', low=0, high=1000)


def predict(values: FlagValues) -> int:
    """Flags to library; returns the exit status."""
    from yolo import storage
    from yolo.backends.loading import load_detector
    from yolo.prediction import image_files

    asked = flags.read(values, PredictSettings)
    paths = image_files.find_images(asked.images)
    detector = load_detector(
        asked.model_dir,
        asked.checkpoint,
        asked.score_threshold,
        asked.nms_iou,
        asked.max_detections,
        asked.resize,
        asked.batch_size,
    )
    storage.make_folder(asked.out_dir)
    results, problems = image_files.predict_files(detector, paths, asked.out_dir, asked.max_pixels, asked.damaged)
    path = posixpath.join(asked.out_dir, 'detections.json')
    storage.write(path, json.dumps(results, indent=1) + '\n')
    if asked.sheet and results:
        shown = [posixpath.join(asked.out_dir, result['drawn']) for result in results[: asked.sheet]]
        sheet = image_files.draw_sheet(shown)
        storage.write(posixpath.join(asked.out_dir, 'sheet.png'), sheet)
    print(f'{sum(len(result["detections"]) for result in results)} objects in {len(results)} images: {path}')
    return 1 if problems else 0


COMMAND = flags.Command('yolo predict', __doc__ or '', (PredictSettings,), predict)
