"""Flags of `yolo predict` about detection and formats: what they change, and what does not fit, in one line."""

import json

import numpy as np
import pytest
from conftest import CLASSES, SMALL, make_image

import yolo.__main__
from yolo.cli import flags
from yolo.data import images
from yolo.models import cfg, conversion, model_folder
from yolo.models.build import DarknetModel


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    """A model with random weights, and metrics that eval.py could have written."""
    folder = tmp_path_factory.mktemp('model') / 'run'
    conversion.write_folder(DarknetModel(cfg.read(SMALL)), model_folder.ModelInfo(CLASSES, 'stretch'), str(folder))
    return folder


@pytest.fixture
def call(capfd, model_dir, tmp_path):
    """Calls the command on one photo: its exit status, its lines on stderr, and what was detected."""
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in/a.png').write_bytes(images.encode_png(make_image(np.random.default_rng(0), 120, 4)[0]))

    def called(*words: str) -> tuple[int, str, list[dict]]:
        capfd.readouterr()
        given = [f'--model_dir={model_dir}', f'--source={tmp_path}/in', f'--out_dir={tmp_path}/out', *words]
        with pytest.raises(SystemExit) as ended:
            flags.run(yolo.__main__.COMMANDS['predict'], ['predict', *given])
        path = tmp_path / 'out/detections.json'
        found = json.loads(path.read_text())[0]['detections'] if path.exists() else []
        return int(ended.value.code or 0), capfd.readouterr()[1], found

    return called


def overlaps(found: list[dict]) -> list[tuple[float, bool]]:
    """IoU of each pair of detections, and whether both have one label."""
    boxes = np.array([[one[side] for side in ('xmin', 'ymin', 'xmax', 'ymax')] for one in found])
    inside = (boxes > 0.5).all(1) & (boxes < 119.5).all(1)  # others were clipped after they were compared
    boxes, found = boxes[inside], [one for one, is_inside in zip(found, inside, strict=True) if is_inside]
    pairs = []
    for i, j in zip(*np.triu_indices(len(boxes), 1), strict=True):
        sides = np.minimum(boxes[i, 2:], boxes[j, 2:]) - np.maximum(boxes[i, :2], boxes[j, :2])
        shared = np.prod(np.maximum(sides, 0))
        union = np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2]) - shared
        pairs.append((float(shared / union), found[i]['label'] == found[j]['label']))
    return pairs


def test_one_object_has_one_label_where_all_classes_suppress_each_other(call):
    status, _, by_class = call('--score_threshold=0.01', '--nms_iou=0.4')
    assert status == 0
    assert max(iou for iou, is_same in overlaps(by_class) if not is_same) > 0.9
    status, _, alone = call('--score_threshold=0.01', '--nms_iou=0.4', '--nms_scope=all_classes')
    assert status == 0
    assert 0 < len(alone) < len(by_class)
    assert max(iou for iou, _ in overlaps(alone)) < 0.41


def test_boxes_can_be_means_of_those_that_they_suppress(call):
    _, _, greedy = call('--score_threshold=0.01', '--nms_iou=0.1')
    status, _, means = call('--score_threshold=0.01', '--nms_iou=0.1', '--nms=wbf')
    assert status == 0
    assert [(one['label'], one['score']) for one in means] == [(one['label'], one['score']) for one in greedy]
    assert max(abs(a['xmin'] - b['xmin']) for a, b in zip(means, greedy, strict=True)) > 1


def test_tiles_find_more_of_a_large_picture(call):
    _, _, whole = call('--score_threshold=0.05', '--max_detections=5000')
    status, _, tiled = call('--score_threshold=0.05', '--max_detections=5000', '--tiles=2x3', '--tile_overlap=0.1')
    assert status == 0
    assert len(tiled) > len(whole) > 0
    sizes = [max(one['xmax'] - one['xmin'], one['ymax'] - one['ymin']) for one in tiled]
    assert min(sizes) < min(max(one['xmax'] - one['xmin'], one['ymax'] - one['ymin']) for one in whole)


def test_detections_that_may_have_been_left_out_are_said(call):
    status, err, found = call('--score_threshold=0.01', '--max_detections=3', '--tiles=2x2')
    assert (status, len(found)) == (0, 3)
    assert '1 images have 3 objects, as many as --max_detections allows: there may be more' in err
    assert 'allows' not in call('--score_threshold=0.9')[1]


def test_each_class_has_the_threshold_of_its_best_f1(call, tmp_path):
    _, _, every = call('--score_threshold=0.01')
    lowest = {}
    for name in CLASSES:
        scores = sorted(one['score'] for one in every if one['label'] == name)
        lowest[name] = scores[len(scores) // 2]
    per_class = {name: {'best_f1': {'score': score}} for name, score in lowest.items()}
    (tmp_path / 'metrics.json').write_text(json.dumps({'per_class': per_class}))
    status, _, found = call('--score_threshold=best_f1', f'--metrics={tmp_path}/metrics.json')
    assert status == 0
    assert 0 < len(found) < len(every)
    assert all(one['score'] >= lowest[one['label']] - 1e-5 for one in found)
    assert [one for one in every if one['score'] > lowest[one['label']] + 1e-5 and one not in found] == []


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--score_threshold=best_f1',), 'report/metrics.json, which has the thresholds of best F1; run eval.py for'),
        (('--score_threshold=best',), "--score_threshold=best: 'best' is not a number or best_f1"),
        (('--score_threshold=1.5',), '--score_threshold=1.5: must be 1 or less'),
        (('--metrics=x',), '--metrics=x goes with --score_threshold=best_f1'),
        (('--score_threshold=best_f1', '--metrics=/nowhere'), 'there is no /nowhere'),
        (('--tiles=2',), '--tiles=2: not rows x columns, such as 2x3, of at most 64 each'),
        (('--tiles=',), '--tiles=: not rows x columns'),
        (('--tile_overlap=0.5',), '--tile_overlap=0.5 goes with --tiles'),
        (('--tiles=2x2', '--tile_overlap=1'), '--tile_overlap=1: must be 0.9 or less'),
        (('--nms_scope=none',), '--nms_scope=none: not one of per_class, all_classes'),
        (('--nms=soft',), '--nms=soft: not one of greedy, wbf'),
        (('--write=json,pdf',), '--write=json,pdf: not one of json, drawn, coco, yolo, yolo_scores, xml'),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_written(call, tmp_path, words, message):
    status, err, _ = call(*words)
    assert status == 1
    assert message in err
    assert err.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_formats_that_videos_do_not_have_are_refused_for_them(call, tmp_path):
    (tmp_path / 'in/clip.mp4').write_bytes(b'a video')
    status, err, _ = call('--write=json,xml')
    assert status == 1
    assert f'--write=json,xml: videos have json and drawn alone, and {tmp_path}/in/clip.mp4 is one; take' in err
    assert err.count('\n') == 1
    assert not (tmp_path / 'out').exists()
