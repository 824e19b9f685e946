"""What balanced sampling and balanced class weights do for a class of which there is 1 object for 50 of the other.

  python benchmarks/rare_classes.py --out_dir=rare --seeds=3

Draws the demo's shapes and calls all but the stars `other`. Of the images with stars as many are trained on as make 1
star for --ratio objects of the other class; tests are on images as they were drawn, 1 star for 4 others. Trains with
each setting and seed, one after the other, and prints the AP (area) of both classes. What follows -- goes to train.py.
"""

import pathlib
import statistics
import sys
from collections.abc import Sequence

import runs
from absl import app, flags

from preprocess.demo import shapes
from yolo.data import voc_folder, voc_xml

FLAGS = flags.FLAGS
flags.DEFINE_string('out_dir', None, 'Folder for data and runs.', required=True)
flags.DEFINE_integer('num_drawn', 1200, 'Images that are drawn, of which about half have no star.', lower_bound=10)
flags.DEFINE_integer('num_test', 120, 'Images to test on.', lower_bound=1)
flags.DEFINE_integer('ratio', 50, 'Objects of the other class for one star.', lower_bound=1)
flags.DEFINE_integer('seeds', 1, 'How many seeds to train with.', lower_bound=1)

RARE, OTHER = 'star', 'other'
SETTINGS = {
    'neither': (),
    '--sampling=balanced': ('--sampling=balanced',),
    '--class_weights=balanced': ('--class_weights=balanced',),
    'both': ('--sampling=balanced', '--class_weights=balanced'),
}
TRAIN = (
    '--train_split=rare',
    '--eval_split=test',
    '--recipe=small-data',
    '--model=yolov2-tiny',
    '--width=0.25',
    '--learning_rate=4e-3',
    '--weight_decay=0',
    '--nomulti_scale',
    '--num_steps=1200',
)


def draw(folder: pathlib.Path) -> tuple[int, int, int]:
    """Writes images with the list `rare`; returns how many it has, and the objects of both classes in it."""
    shapes.write_shapes(str(folder), FLAGS.num_drawn, FLAGS.num_test, seed=0)
    counts = {}
    for path in sorted((folder / 'Annotations').glob('*.xml')):
        data = path.read_bytes()
        for name in set(shapes.CLASSES) - {RARE}:
            data = data.replace(f'<name>{name}</name>'.encode(), f'<name>{OTHER}</name>'.encode())
        path.write_bytes(data)
        names = voc_xml.parse_annotation(data).names
        counts[path.stem] = names.count(RARE), names.count(OTHER)
    drawn = voc_folder.read_split(str(folder / 'ImageSets/Main/trainval.txt'))
    chosen = [image_id for image_id in drawn if not counts[image_id][0]]
    stars, others = 0, sum(counts[image_id][1] for image_id in chosen)
    for image_id in drawn:
        if counts[image_id][0] and (stars + counts[image_id][0]) * FLAGS.ratio <= others + counts[image_id][1]:
            chosen.append(image_id)
            stars, others = stars + counts[image_id][0], others + counts[image_id][1]
    if not stars:
        sys.exit(f'--num_drawn={FLAGS.num_drawn}: too few for one {RARE} in {FLAGS.ratio} objects; draw more')
    (folder / 'ImageSets/Main/rare.txt').write_text(''.join(f'{image_id}\n' for image_id in chosen))
    return len(chosen), stars, others


def train(data_dir: pathlib.Path, model_dir: pathlib.Path, words: Sequence[str]) -> tuple[float, float]:
    """The AP (area) of both classes after a run."""
    metrics = runs.train(data_dir, model_dir, ['--overwrite', *TRAIN, *words])
    return metrics['per_class'][RARE]['ap_area'], metrics['per_class'][OTHER]['ap_area']


def main(words: Sequence[str]) -> None:
    """Draws, converts, trains and prints a row for each setting."""
    folder = pathlib.Path(FLAGS.out_dir).absolute()
    num_images, stars, others = draw(folder / 'VOC')
    print(f'{num_images} images with {stars} of {RARE} and {others} of {OTHER}, 1 : {others / stars:.1f}')
    source = (f'--voc_dir={folder}/VOC', '--splits=rare,test', '--image_size=128', f'--out_dir={folder}/data')
    runs.run('-m', 'preprocess', *source, '--overwrite')
    print(f'{"AP of " + RARE:>26} {"mean":>6}  by seed, and of {OTHER}')
    for number, (name, flags_of) in enumerate(SETTINGS.items()):
        results = [
            train(folder / 'data', folder / f'run{number}', [*flags_of, f'--seed={seed}', *words[1:]])
            for seed in range(FLAGS.seeds)
        ]
        own, of_other = zip(*results, strict=True)
        rows = (' '.join(f'{value:.3f}' for value in values) for values in (own, of_other))
        print(f'{name:>26} {statistics.mean(own):6.3f}  {", ".join(rows)}', flush=True)


if __name__ == '__main__':
    app.run(main)
