"""The settings that several commands share, each written once; the command gives its default and heading."""

from typing import Any

from yolo.detection.thresholds import IOU_THRESHOLD
from yolo.geometry.box_convention import BOX_CONVENTIONS
from yolo.settings import setting

NMS_SCOPES = PER_CLASS, ALL_CLASSES = ('per_class', 'all_classes')
NMS_KINDS = GREEDY, WBF = ('greedy', 'wbf')


def model_dir_setting(group: str = '') -> Any:
    """The folder of a trained model."""
    return setting('', 'Folder of a run of train.py, or of a converted model.', group=group)


def weights_setting(group: str = '') -> Any:
    """Darknet's weights."""
    return setting('', "Darknet's .weights, with --cfg.", group=group)


def checkpoint_setting(group: str = '') -> Any:
    """Which checkpoint of --model_dir to read."""
    return setting(
        '',
        'Of --model_dir: best, latest, or the path of a checkpoint.',
        group=group,
        unset='the best if there is one, else the latest',
    )


def score_threshold_setting(default: float, group: str = '', words: tuple[str, ...] = ()) -> Any:
    """The lowest score of a detection; words: `best_f1.WORD` where it is allowed."""
    help = 'Lowest score (objectness x class) of a detection'
    help += f'; {words[0]}: for each class that with the best F1 when eval.py evaluated the model.' if words else '.'
    return setting(default, help, group=group, low=0, high=1, words=words)


def nms_iou_setting(group: str = '') -> Any:
    """The IoU of non-maximum suppression."""
    help = 'A box is suppressed by a better one of its class with a higher IoU than this.'
    return setting(IOU_THRESHOLD, help, group=group, low=0, high=1)


def max_detections_setting(default: int, group: str = '') -> Any:
    """How many detections an image may have."""
    return setting(default, 'Most detections an image.', group=group, low=1, high=10_000)


def box_convention_setting(group: str = '') -> Any:
    """Where the boxes of a model end."""
    return setting(
        None,
        "Where the model's boxes end: voc, at the far edge of their last pixel, or darknet, one pixel of the photo "
        "before it, as in Darknet's labels of VOC (not of COCO): it is added where boxes are put into photos.",
        group=group,
        choices=BOX_CONVENTIONS,
        unset="as the model says; darknet for a .cfg that does not, as Darknet's own",
    )


def nms_scope_setting(group: str = '') -> Any:
    """Which boxes suppress each other."""
    help = f'Which boxes suppress each other: those of one class, or {ALL_CLASSES}, so that no object has two labels.'
    return setting(PER_CLASS, help, group=group, choices=NMS_SCOPES)


def nms_setting(group: str = '') -> Any:
    """What becomes of boxes that a better one suppresses."""
    help = (
        f'What becomes of boxes that a better one suppresses: {GREEDY}, they go; {WBF} (weighted boxes fusion), the '
        'better one becomes their mean, weighted by squared scores.'
    )
    return setting(GREEDY, help, group=group, choices=NMS_KINDS)
