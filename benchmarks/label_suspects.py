"""How many spoiled labels are among the first suspects, by ours and by ObjectLab, and what mending them gives.

  python benchmarks/label_suspects.py --out_dir=labels --voc_dir=demo/VOC --image_size=192 -- TRAINING FLAGS

Spoils --share of the annotated objects of --split in each of four ways: removes them, adds boxes of nothing, renames
them, shifts their boxes. Makes records of that, looks for suspects by cross-validation (`yolo suspects`), ranks the
same detections by ObjectLab too where it is installed (`pip install cleanlab`), and prints the precision at N, N
spoiled labels. With --train it then trains on the spoiled labels; on those mended as all of the first N suspects
propose; on those mended where the suspect is really spoiled, as one would tick them; and on the clean ones, and prints
the mAP of each on --test_split. What follows -- goes to the training.
"""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from yolo.data import voc_folder, voc_xml
from yolo.evaluation import corrections, result, suspects
from yolo.evaluation.result import EvaluationResult
from yolo.training import run_folder

FLAGS = flags.FLAGS
flags.DEFINE_string('out_dir', None, 'Folder for data, runs and results.', required=True)
flags.DEFINE_string('voc_dir', None, 'VOC folder with clean annotations.', required=True)
flags.DEFINE_string('split', 'trainval', 'Split whose labels are spoiled.')
flags.DEFINE_string('test_split', 'test', 'Split to test on.')
flags.DEFINE_string('image_size', '192', 'As of preprocess.')
flags.DEFINE_float('share', 0.05, 'Share of the objects that is spoiled in each way.', 0, 0.2)
flags.DEFINE_integer('seed', 0, 'Seed of what is spoiled.')
flags.DEFINE_integer('folds', 3, 'Parts of the cross-validation.', lower_bound=2)
flags.DEFINE_bool('train', False, 'Also train on spoiled, mended and clean labels.')

ROOT = pathlib.Path(__file__).parent.parent
SAME = 0.9  # IoU of two boxes that are one, but for rounding


def run(*words: object) -> None:
    """Runs a command of this project."""
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (N,) of a box with others (N, 4) in VOC pixels."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low + 1, 0), 1)
    areas = np.prod(others[:, 2:] - others[:, :2] + 1, 1) + np.prod(box[2:] - box[:2] + 1)
    return shared / (areas - shared)


class Labels:
    """The objects of some images, as lists that are spoiled or mended: [name, box (4,), difficult] by image id."""

    def __init__(self, folder: pathlib.Path, split: str):
        self.folder = folder
        self.ids = voc_folder.read_split(str(folder / f'ImageSets/Main/{split}.txt'))
        self.sizes: dict[str, tuple[int, int]] = {}
        self.objects: dict[str, list[list]] = {}
        for image_id in self.ids:
            read = voc_xml.parse_annotation((folder / f'Annotations/{image_id}.xml').read_bytes())
            assert read.size, image_id
            self.sizes[image_id] = read.size
            self.objects[image_id] = [list(row) for row in zip(read.names, read.boxes, read.difficult, strict=True)]

    def write(self, folder: pathlib.Path) -> None:
        """A VOC folder with these objects; its other images, lists and annotations are those of the first folder."""
        shutil.copytree(self.folder / 'Annotations', folder / 'Annotations', dirs_exist_ok=True)
        shutil.copytree(self.folder / 'ImageSets', folder / 'ImageSets', dirs_exist_ok=True)
        if not (folder / 'JPEGImages').exists():
            (folder / 'JPEGImages').symlink_to((self.folder / 'JPEGImages').absolute())
        for image_id, objects in self.objects.items():
            size = dict(zip(('height', 'width'), self.sizes[image_id], strict=True))
            elements = [
                {
                    'name': name,
                    'difficult': int(difficult),
                    'bndbox': dict(zip(voc_xml.SIDES, box.tolist(), strict=True)),
                }
                for name, box, difficult in objects
            ]
            head = {'filename': f'{image_id}.jpg', 'size': {**size, 'depth': 3}}
            data = voc_xml.format_annotation(head, elements, declaration=False)
            (folder / f'Annotations/{image_id}.xml').write_bytes(data)


def spoil(labels: 'Labels', share: float, seed: int) -> list[dict]:
    """Spoils the labels; returns of each that was: kind, image_id, box (of a removed object: its own) and class."""
    rng = np.random.default_rng(seed)
    everything = [(i, n) for i in labels.ids for n in range(len(labels.objects[i])) if not labels.objects[i][n][2]]
    names = sorted({name for objects in labels.objects.values() for name, _, _ in objects})
    number = round(share * len(everything))
    chosen = rng.permutation(len(everything))[: 3 * number]
    spoiled: list[dict] = []

    def note(kind: str, image_id: str, name: str, box: np.ndarray) -> None:
        spoiled.append({'kind': kind, 'image_id': image_id, 'name': name, 'box': box.tolist()})

    removed = []
    for place, which in enumerate(chosen):
        image_id, n = everything[which]
        each = labels.objects[image_id][n]
        if place < number:
            note('missing', image_id, each[0], each[1])
            removed.append((image_id, n))
        elif place < 2 * number:
            note('class', image_id, each[0], each[1])
            each[0] = str(rng.choice([name for name in names if name != each[0]]))
        else:
            name = each[0]
            each[1] = shifted(rng, each[1], labels.sizes[image_id])
            note('box', image_id, name, each[1])
    boxes = [labels.objects[i][n][1] for i, n in everything]
    added = [add(rng, labels, boxes, names) for _ in range(number)]
    for image_id, n in sorted(removed, reverse=True):
        del labels.objects[image_id][n]
    for image_id, name, box in added:
        note('nothing', image_id, name, box)
        labels.objects[image_id].append([name, box, False])
    return spoiled


def shifted(rng, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A box moved and scaled so that its IoU with what it was is 0.3 to 0.6; whole pixels in the image."""
    while True:
        extent = box[2:] - box[:2]
        centre = (box[:2] + box[2:]) / 2 + rng.uniform(-0.5, 0.5, 2) * extent
        half = extent / 2 * np.exp(rng.uniform(-0.4, 0.4, 2))
        moved = np.rint(np.concatenate([centre - half, centre + half]))
        moved = np.clip(moved, 1, [size[1], size[0], size[1], size[0]])
        if 0.3 <= iou(box, moved[None])[0] <= 0.6:
            return moved


def add(rng, labels: Labels, boxes: Sequence[np.ndarray], names: Sequence[str]) -> tuple[str, str, np.ndarray]:
    """A box of nothing: one as large as an object of the split, where it overlaps no object by IoU 0.1."""
    while True:
        image_id = labels.ids[rng.integers(len(labels.ids))]
        height, width = labels.sizes[image_id]
        extent = np.diff(boxes[rng.integers(len(boxes))].reshape(2, 2), axis=0)[0]
        room = np.array([width, height]) - 1 - extent
        others = np.array([box for _, box, _ in labels.objects[image_id]]).reshape(-1, 4)
        if (room < 0).any():
            continue
        low = np.rint(rng.uniform(0, room)) + 1
        box = np.concatenate([low, low + extent])
        if (iou(box, others) < 0.1).all():
            return image_id, str(rng.choice(names)), box


def hits(found: suspects.Suspects, evaluated: EvaluationResult, spoiled: Sequence[dict]) -> np.ndarray:
    """Which spoiled label (S,) each suspect is on, -1 for none or one that an earlier suspect is on.

    A missing object is met by a box on it, IoU 0.5; any other spoiled label by a suspect of that object, of any kind.
    """
    numbers: dict[str, list[int]] = {image_id: [] for image_id in evaluated.image_ids}
    for number, each in enumerate(spoiled):
        numbers[each['image_id']].append(number)
    out = np.full(len(found.images), -1)
    met = set()
    for s in range(len(found.images)):
        own = [n for n in numbers[evaluated.image_ids[found.images[s]]] if n not in met]
        is_missing = found.objects[s] < 0
        own = [n for n in own if (spoiled[n]['kind'] == 'missing') == is_missing]
        if not own:
            continue
        box = evaluated.detections.boxes[found.detections[s]] if is_missing else evaluated.truth.boxes[found.objects[s]]
        overlap = iou(box, np.array([spoiled[n]['box'] for n in own]))
        if overlap.max() >= (0.5 if is_missing else SAME):
            out[s] = own[int(overlap.argmax())]
            met.add(int(out[s]))
    return out


def print_precision(name: str, found: suspects.Suspects, evaluated: EvaluationResult, spoiled: Sequence[dict]) -> None:
    """The precision at N, N spoiled labels: of all; and of each kind, of as many suspects as are spoiled in its way."""
    of = hits(found, evaluated, spoiled)
    number = len(spoiled)
    parts = [f'{name}: precision at {number} {np.sum(of[:number] >= 0) / number:.3f}']
    for kind in suspects.KINDS[:4]:
        those = {n for n, each in enumerate(spoiled) if each['kind'] == kind}
        own = of[found.kinds == suspects.KINDS.index(kind)][: len(those)]
        parts.append(f'{kind} {sum(n in those for n in own.tolist()) / len(those):.3f}')
    print(', '.join(parts), flush=True)


def objectlab(evaluated: EvaluationResult, threshold: float | None) -> suspects.Suspects:
    """The boxes that ObjectLab scores lowest, with its three scores in one list; threshold: of what it calls certain.

    It has no score for boxes of nothing: those are objects whose location it finds bad.
    """
    from cleanlab.object_detection import rank

    truth, detections = evaluated.truth, evaluated.detections
    objects = [np.flatnonzero(truth.images == i) for i in range(len(evaluated.image_ids))]
    found = [
        [np.flatnonzero((detections.images == i) & (detections.classes == k)) for k in range(len(evaluated.classes))]
        for i in range(len(evaluated.image_ids))
    ]
    labels = [{'bboxes': truth.boxes[own], 'labels': truth.classes[own]} for own in objects]
    predictions = []
    for of_image in found:
        arrays = np.empty(len(of_image), object)
        for k, own in enumerate(of_image):
            arrays[k] = np.column_stack([detections.boxes[own], detections.scores[own]]).astype(float)
        predictions.append(arrays)
    both = {'labels': labels, 'predictions': predictions}
    high = {'high_probability_threshold': threshold} if threshold else {}
    low = {'low_probability_threshold': threshold} if threshold else {}
    overlooked = np.concatenate(rank.compute_overlooked_box_scores(**both, **high))
    located = np.concatenate(rank.compute_badloc_box_scores(**both, **low))
    swapped = np.concatenate(rank.compute_swap_box_scores(**both, **high))
    every, boxes = np.concatenate(objects), np.concatenate([own for of_image in found for own in of_image])
    kinds = [suspects.KINDS.index(kind) for kind in (suspects.MISSING, suspects.BOX, suspects.CLASS)]
    scores = np.concatenate([overlooked, located, swapped])
    kind = np.repeat(kinds, [len(overlooked), len(located), len(swapped)])
    object_of = np.concatenate([np.full(len(boxes), -1), every, every])
    detection_of = np.concatenate([boxes, np.full(2 * len(every), -1)])
    order = np.argsort(scores, kind='stable')
    order = order[np.isfinite(scores[order])]
    listed = object_of[order]
    first = np.union1d(np.unique(listed, return_index=True)[1], np.flatnonzero(listed < 0))  # an object once
    order = order[first]
    images = np.where(object_of < 0, detections.images[detection_of], truth.images[object_of])
    return suspects.Suspects(
        kind[order], 1 - scores[order], images[order], object_of[order], detection_of[order], ('',) * len(order)
    )


def mended(labels: Labels, evaluated: EvaluationResult, found: suspects.Suspects, chosen: Sequence[int]) -> Labels:
    """The labels with what the chosen suspects propose."""
    sizes = {number: labels.sizes[image_id] for number, image_id in enumerate(evaluated.image_ids)}
    described = corrections.describe(evaluated, found, sizes)
    for image_id, objects in corrections.correct(described, chosen).items():
        labels.objects[image_id] = [[each['name'], np.array(each['box'], float), each['difficult']] for each in objects]
    return labels


def prepare(folder: pathlib.Path) -> str:
    """Makes records of a VOC folder beside it; returns their folder."""
    out = f'{folder}_records'
    splits = f'--splits={FLAGS.split},{FLAGS.test_split}'
    run('-m', 'preprocess', f'--voc_dir={folder}', splits, f'--out_dir={out}', f'--image_size={FLAGS.image_size}')
    return out


def train(data_dir: str, model_dir: pathlib.Path, words: Sequence[str]) -> float:
    """The mAP (area) on the test split after a run."""
    own = (f'--train_split={FLAGS.split}', f'--eval_split={FLAGS.test_split}', '--eval_every=0')
    run('train.py', f'--data_dir={data_dir}', f'--model_dir={model_dir}', *own, *words)
    metrics = run_folder.read_run(str(model_dir / run_folder.RUN)).metrics or {}
    return metrics['map_area']


def main(words: Sequence[str]) -> None:
    """Spoils, looks for suspects, compares, and trains."""
    folder, source = pathlib.Path(FLAGS.out_dir).absolute(), pathlib.Path(FLAGS.voc_dir)
    labels = Labels(source, FLAGS.split)
    spoiled = spoil(labels, FLAGS.share, FLAGS.seed)
    labels.write(folder / 'spoiled')
    data, out = prepare(folder / 'spoiled'), folder / 'suspects'
    where = (f'--data_dir={data}', f'--split={FLAGS.split}', f'--out_dir={out}', f'--folds={FLAGS.folds}')
    run('-m', 'yolo', 'suspects', *where, *words[1:])
    evaluated = result.read(str(out))
    found = suspects.find(evaluated, len(spoiled) * 3)
    print_precision('ours', found, evaluated, spoiled)
    for threshold in (None, 0.5, 0.3) if importlib.util.find_spec('cleanlab') else ():
        name = f'ObjectLab, {"its thresholds" if threshold is None else f"threshold {threshold}"}'
        print_precision(name, objectlab(evaluated, threshold), evaluated, spoiled)
    if not FLAGS.train:
        return
    number = range(min(len(spoiled), len(found.images)))
    ticked = [s for s in number if hits(found, evaluated, spoiled)[s] >= 0]
    print(f'mAP (area) on {FLAGS.test_split}, trained on labels that are', flush=True)
    print(f'  spoiled {train(data, folder / "run_spoiled", words[1:]):.4f}', flush=True)
    for name, chosen in (('mended', number), ('ticked', ticked)):
        mended(Labels(folder / 'spoiled', FLAGS.split), evaluated, found, chosen).write(folder / name)
        print(f'  {name} {train(prepare(folder / name), folder / f"run_{name}", words[1:]):.4f}', flush=True)
    (folder / 'clean').symlink_to(source.absolute())
    print(f'  clean {train(prepare(folder / "clean"), folder / "run_clean", words[1:]):.4f}')


if __name__ == '__main__':
    app.run(main)
