"""How near result files of the devkit are to those of another program, as Darknet's, and what each is worth.

  python benchmarks/result_files.py --voc_dir=BCCD --split=test --folders=darknet,ours_darknet,ours_voc

Of each folder with files comp4_det_<split>_<class>.txt: detections, mAP over 11 points and as area, the mean IoU of the
true positives, how many detections have one of the first folder within 8 pixels and 0.1 of its score, and how far these
are from it at most, and in the median, in pixels and in score.
"""

import numpy as np
from absl import app, flags

from yolo.data.voc_folder import Source
from yolo.evaluation import annotations, devkit_files
from yolo.evaluation.voc_ap import voc_average_precision
from yolo.evaluation.voc_matching import Detections, match

FLAGS = flags.FLAGS
flags.DEFINE_string('voc_dir', None, 'VOC folder of the images.', required=True)
flags.DEFINE_string('split', 'test', 'Split.')
flags.DEFINE_list('folders', None, 'Folders with result files; the others are compared with the first.', required=True)
NEAR_PIXELS, NEAR_SCORE = 8, 0.1


def differences(first: Detections, other: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Of each detection of `other` that has one of `first` near it: its largest difference in pixels, and in score."""
    pixels, scores = [], []
    groups = np.unique(np.column_stack([first.images, first.classes]), axis=0)
    for image, kind in groups.tolist():
        a, b = (np.flatnonzero((each.images == image) & (each.classes == kind)) for each in (first, other))
        if not len(b):
            continue
        apart = np.abs(first.boxes[a][:, None] - other.boxes[b][None]).max(-1)  # (A, B)
        less = np.abs(first.scores[a][:, None] - other.scores[b][None])
        nearest = (apart / NEAR_PIXELS + less / NEAR_SCORE).argmin(0), np.arange(len(b))
        is_near = (apart[nearest] <= NEAR_PIXELS) & (less[nearest] <= NEAR_SCORE)
        pixels.append(apart[nearest][is_near])
        scores.append(less[nearest][is_near])
    return np.concatenate(pixels), np.concatenate(scores)


def main(_) -> None:
    """Prints a row for each folder."""
    source = Source(f'{FLAGS.voc_dir}/Annotations', f'{FLAGS.voc_dir}/JPEGImages')
    image_ids, classes, truth, _ = annotations.read_truth(source, f'{FLAGS.voc_dir}/ImageSets/Main/{FLAGS.split}.txt')
    print('folder, detections, mAP 11-point, area, mean IoU of true positives, near, pixels: most, median, score: most')
    first = None
    for folder in FLAGS.folders:
        found = devkit_files.read_detections(folder, FLAGS.split, classes, image_ids)
        first = first or found
        curves = voc_average_precision(truth, found, len(classes))
        matches = match(truth, found, len(classes))
        pixels, scores = differences(first, found)
        print(
            f'{folder}, {len(found.scores):,}, {curves.map_11pt:.4f}, {curves.map_area:.4f}, '
            f'{matches.overlap[matches.is_true_positive].mean():.4f}, {len(pixels):,}, {pixels.max():.5f}, '
            f'{np.median(pixels):.5f}, {scores.max():.6f}'
        )


if __name__ == '__main__':
    app.run(main)
