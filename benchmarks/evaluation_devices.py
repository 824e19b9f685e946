"""An evaluation on one device and on two logical ones of the same cores, and one that does a step after the other.

  python benchmarks/evaluation_devices.py --data_dir=data/voc416 --split=test --model=yolov2-tiny

In turn, in one process, with random weights: batches one after the other on one device (the network, then the host's
part, then the next batch), overlapping on one device, and overlapping on two logical CPU devices; then the same by a
backend, as in eval.py, where the host also decodes and suppresses. Prints images/s, the ratios to one after the other,
and whether the metrics are the same; at last how long the host's part takes.
"""

import functools
import statistics
import time
from unittest import mock

import in_turn
import tensorflow as tf
from absl import app, flags

from yolo.backends import tensorflow_backend
from yolo.data import pipeline, records
from yolo.detection import graph
from yolo.evaluation import inference
from yolo.models import build
from yolo.models.folding import fold
from yolo.training import distribution

FLAGS = flags.FLAGS
flags.DEFINE_string('data_dir', None, 'Folder of records.', required=True)
flags.DEFINE_string('split', 'test', 'Split to evaluate.')
flags.DEFINE_string('model', 'yolov2-tiny', 'Network.')
flags.DEFINE_integer('batch_size', 16, 'Images at once.')
flags.DEFINE_integer('rounds', 5, 'Rounds, each measuring all.')
THRESHOLDS = inference.Thresholds()


def one_after_the_other(function, items, **_):
    """What `overlap.in_order` gives, without threads."""
    for item in items:
        yield function(item)


def make_predicts(description: records.Description) -> dict[str, inference.Predict]:
    """The network with random weights on one device and on two."""
    plain = build.build_model(FLAGS.model, len(description.classes), description.anchors)
    predicts: dict[str, inference.Predict] = {}
    for kind, devices in (('one_device', ['CPU:0']), ('mirrored', ['CPU:0', 'CPU:1'])):
        strategy = distribution.make_strategy(kind, devices)
        with strategy.scope():
            model = build.build_model(FLAGS.model, len(description.classes), description.anchors)
            model.set_weights(plain.get_weights())
        predicts[kind] = graph.make_predict(model, description.anchors, THRESHOLDS, strategy)
    backend = tensorflow_backend.load(fold(plain))
    predicts['backend'] = inference.make_predict(backend, description.anchors, THRESHOLDS)
    return predicts


def host_part(predict, description: records.Description) -> float:
    """Milliseconds an image of what the host does after the network, the median over the batches."""
    seconds, canvas = [], (description.stored_size(FLAGS.split), description.resize)
    for batch in pipeline.evaluation_batches(FLAGS.data_dir, FLAGS.split, FLAGS.batch_size):
        _, outputs, _ = inference._compute(predict, batch)
        start = time.perf_counter()
        inference._finish(predict, batch, outputs, 0.0, 0, canvas, THRESHOLDS)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds) / FLAGS.batch_size


def main(_) -> None:
    """Measures in turn and prints."""
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    description = records.read_description(FLAGS.data_dir)
    num_images = description.split(FLAGS.split).num_images
    predicts, found = make_predicts(description), {}

    def run(name: str, predict) -> None:
        found[name] = inference.evaluate(predict, FLAGS.data_dir, FLAGS.split, FLAGS.batch_size, THRESHOLDS)

    def run_plainly(name: str, predict) -> None:
        with mock.patch.object(inference.overlap, 'in_order', one_after_the_other):
            run(name, predict)

    ways = {
        'one after the other': functools.partial(run_plainly, 'one after the other', predicts['one_device']),
        'overlapping': functools.partial(run, 'overlapping', predicts['one_device']),
        'on two devices': functools.partial(run, 'on two devices', predicts['mirrored']),
        'backend, one after the other': functools.partial(run_plainly, 'backend plainly', predicts['backend']),
        'backend, overlapping': functools.partial(run, 'backend', predicts['backend']),
    }
    in_turn.seconds(ways)  # makes the graphs
    print(f'{FLAGS.model}, {num_images} images of {description.image_size}, {FLAGS.batch_size} at once')
    rounds = []
    for _ in range(FLAGS.rounds):
        rounds.append(in_turn.seconds(ways))
        print(', '.join(f'{name}: {num_images / seconds:.2f}' for name, seconds in rounds[-1].items()), flush=True)
    for name in ways:
        base = 'backend, one after the other' if name.startswith('backend') else 'one after the other'
        ratios = in_turn.spread([each[base] / each[name] for each in rounds])
        print(f'{name:30}{num_images / statistics.median(each[name] for each in rounds):8.2f} images/s, ratio {ratios}')
    same = all(found[name] == found['one after the other'] for name in ('overlapping', 'on two devices'))
    print(f'the same metrics: {same} for the graph, {found["backend plainly"] == found["backend"]} for the backend')
    print(f'mAP of the graph and of the backend: {found["overlapping"]["map_area"]} {found["backend"]["map_area"]}')
    for name, predict in (('the graph', predicts['one_device']), ('a backend', predicts['backend'])):
        print(f'the host after {name}: {host_part(predict, description):.2f} ms an image')


if __name__ == '__main__':
    app.run(main)
