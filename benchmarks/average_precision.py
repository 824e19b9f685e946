"""VOC AP of this project against pycocotools and a per-box evaluator in Python, on the same detections, in one run.

  python benchmarks/average_precision.py --images=4952 --detections=500000 --classes=20

  python benchmarks/average_precision.py --stages --images=977 --detections=488000

The latter prints the CPU seconds of all that `eval.py` computes from the detections, stage by stage.

In the former all three match at IoU 0.5 alone. The per-box evaluator is the usual Python port of the devkit's code (a
loop over the detections of a class, each against the objects of its image). Prints seconds, the mAP (area) of each, and
how the time of ours grows with more images.
"""

import contextlib
import io
import time

import numpy as np
from absl import app, flags

from yolo.evaluation import coco_ap, summary, suspects
from yolo.evaluation.result import EvaluationResult
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, GroundTruth

FLAGS = flags.FLAGS
flags.DEFINE_integer('images', 4952, 'Images.')
flags.DEFINE_integer('detections', 500_000, 'Detections.')
flags.DEFINE_integer('classes', 20, 'Classes.')
flags.DEFINE_float('objects', 2.4, 'Objects an image.')
flags.DEFINE_list('times', '1,4,16', 'How many times as many images ours is measured with as well.')
flags.DEFINE_bool('stages', False, 'CPU seconds of the stages of eval.py in place of a comparison.')


def make_case(num_images: int, num_detections: int, num_classes: int) -> EvaluationResult:
    """Objects, and detections of which a tenth are near one."""
    rng = np.random.default_rng(0)
    num = int(FLAGS.objects * num_images)
    low = rng.uniform(1, 300, (num, 2))
    truth = GroundTruth(
        np.sort(rng.integers(0, num_images, num)),
        rng.integers(0, num_classes, num),
        np.concatenate([low, low + rng.uniform(20, 190, (num, 2))], 1).round(),
        rng.random(num) < 0.1,
    )
    of, near = rng.integers(0, num, num_detections), rng.random(num_detections) < 0.1
    start = rng.uniform(1, 300, (num_detections, 2))
    anywhere = np.concatenate([start, start + rng.uniform(20, 190, (num_detections, 2))], 1)
    boxes = np.where(near[:, None], truth.boxes[of] + rng.normal(0, 6, (num_detections, 4)), anywhere)
    classes = np.where(near, truth.classes[of], rng.integers(0, num_classes, num_detections))
    images = np.where(near, truth.images[of], rng.integers(0, num_images, num_detections))
    scores = rng.random(num_detections) * np.where(near, 1, 0.5)
    order = np.argsort(images, kind='stable')  # image by image, as a detector gives them
    images, classes, scores, boxes = images[order], classes[order], scores[order], boxes[order]
    names = tuple(str(number) for number in range(max(num_images, num_classes)))
    return EvaluationResult(names[:num_classes], names[:num_images], truth, Detections(images, classes, scores, boxes))


def ours(result: EvaluationResult) -> float:
    """This project's."""
    return voc_average_precision(result.truth, result.detections, len(result.classes)).map_area


def pycocotools(result: EvaluationResult) -> float:
    """COCO's own, at one IoU and with as many detections an image as there are."""
    from pycocotools.coco import COCO

    from yolo.evaluation.coco_evaluator import Evaluator

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco_ap.annotations(result)
        truth.createIndex()
        evaluator = Evaluator(truth, truth.loadRes(coco_ap.results(result)), 'bbox')
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ['all']
        evaluator.params.maxDets = [10**6]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = evaluator.eval['precision'][0, :, :, 0, 0]
    return float(precision[precision > -1].mean())


def per_box(result: EvaluationResult) -> float:
    """A loop over detections, with the objects of an image in a dictionary."""
    truth, detections, aps = result.truth, result.detections, []
    for k in range(len(result.classes)):
        objects: dict[int, list] = {}
        for t in np.flatnonzero(truth.classes == k):
            objects.setdefault(int(truth.images[t]), []).append([truth.boxes[t], bool(truth.difficult[t]), False])
        total = sum(not difficult for each in objects.values() for _, difficult, _ in each)
        own = np.flatnonzero(detections.classes == k)
        is_true_positive = []
        for d in own[np.argsort(-detections.scores[own], kind='stable')]:
            there = objects.get(int(detections.images[d]), [])
            best, at, box = -np.inf, -1, detections.boxes[d]
            if there:
                boxes = np.array([each[0] for each in there])
                width = np.maximum(np.minimum(boxes[:, 2], box[2]) - np.maximum(boxes[:, 0], box[0]) + 1, 0)
                height = np.maximum(np.minimum(boxes[:, 3], box[3]) - np.maximum(boxes[:, 1], box[1]) + 1, 0)
                both = (box[2] - box[0] + 1) * (box[3] - box[1] + 1) + np.prod(boxes[:, 2:] - boxes[:, :2] + 1, 1)
                overlaps = width * height / (both - width * height)
                at = int(overlaps.argmax())
                best = overlaps[at]
            if best >= 0.5 and there[at][1]:
                continue
            is_true_positive.append(bool(best >= 0.5 and not there[at][2]))
            if best >= 0.5:
                there[at][2] = True
        true_positives = np.cumsum(is_true_positive)
        recall = true_positives / total
        precision = true_positives / np.arange(1, len(true_positives) + 1)
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        aps.append(np.sum(np.diff(recall, prepend=0) * envelope))
    return float(np.mean(aps))


def print_stages(result: EvaluationResult) -> None:
    """The CPU seconds of each."""
    stages = {
        'AP, errors, breakdowns': lambda: summary.evaluate(result, 0.5),
        '--compare': lambda: summary.compare(result, result.detections, 0.5),
        '--suspects=100': lambda: suspects.find(result, 100),
        "--coco: COCO's AP": lambda: coco_ap.average_precision(result),
    }
    for name, function in stages.items():
        start = time.process_time()
        function()
        print(f'{name:<24} {time.process_time() - start:8.2f} s', flush=True)


def main(_) -> None:
    """Measures and prints."""
    result = make_case(FLAGS.images, FLAGS.detections, FLAGS.classes)
    if FLAGS.stages:
        print_stages(result)
        return
    for function in (ours, pycocotools, per_box):
        start = time.perf_counter()
        value = function(result)
        print(f'{function.__name__:<12} {time.perf_counter() - start:8.2f} s   mAP {value:.4f}', flush=True)
    for times in map(int, FLAGS.times):
        more = make_case(FLAGS.images * times, FLAGS.detections * times, FLAGS.classes)
        start = time.perf_counter()
        ours(more)
        print(f'ours, {times:3} x the images: {time.perf_counter() - start:8.2f} s', flush=True)


if __name__ == '__main__':
    app.run(main)
