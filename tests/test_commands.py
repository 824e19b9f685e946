"""train.py, eval.py and yolo.predict as real processes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import CLASSES, ROOT, make_image, write_records

from yolo.cli import predict
from yolo.data import images
from yolo.data.pipeline import evaluation_batches
from yolo.data.voc_xml import SIDES
from yolo.evaluation.voc_ap import to_voc_pixels


def run(*command, check=True):
    """The command's exit status and all it printed."""
    env = {**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with records in `data` and a short run in `run`."""
    folder = tmp_path_factory.mktemp('trained')
    write_records(folder / 'data')
    _, text = run(
        'train.py',
        f'--data_dir={folder}/data',
        '--train_split=train',
        '--eval_split=test',
        f'--model_dir={folder}/run',
        '--model=yolov2',
        '--width=0.05',
        '--batch_size=4',
        '--epochs=2',
        '--log_every=1',
        '--nojit_compile',
    )
    assert 'step 4/4  loss' in text
    return folder


def test_train_leaves_config_and_checkpoints(trained):
    config = json.loads((trained / 'run' / 'config.json').read_text())
    assert config['num_steps'] == 4
    assert config['decay_steps'] == [1, 2]  # the recipe's, of 4 steps
    assert config['width'] == 0.05
    assert (trained / 'run' / 'best' / 'metrics.json').exists()


def test_train_again_goes_on_and_other_settings_are_refused(trained):
    flags = (
        f'--data_dir={trained}/data',
        '--train_split=train',
        f'--model_dir={trained}/run',
        '--model=yolov2',
        '--width=0.05',
        '--batch_size=4',
        '--nojit_compile',
    )
    status, text = run('train.py', *flags, '--epochs=3', check=False)
    assert status == 1
    assert 'num_steps: 4 there, 6 now' in text
    assert 'Traceback' not in text
    _, text = run('train.py', *flags, '--epochs=2')
    assert 'going on from' in text


def test_eval_writes_metrics(trained):
    _, text = run(
        'eval.py',
        f'--data_dir={trained}/data',
        '--split=test',
        f'--model_dir={trained}/run',
        f'--report_dir={trained}/report',
        '--score_threshold=0.01',
        '--batch_size=3',
    )
    assert 'AP 11-point' in text
    assert 'bright' in text
    metrics = json.loads((trained / 'report' / 'metrics.json').read_text())
    assert {'map_11pt', 'map_area', 'per_class', 'num_images', 'thresholds'} <= set(metrics)
    assert metrics['num_images'] == 8
    assert metrics['thresholds'] == {'score': 0.01, 'suppression_iou': 0.45, 'max_detections': 500, 'match_iou': 0.5}
    assert set(metrics['per_class']['dark']) == {
        'ap_11pt',
        'ap_area',
        'num_objects',
        'num_difficult',
        'num_detections',
        'best_f1',
        'scores_right',
        'scores_wrong',
        'score_range',
        'precision_by_recall',
    }
    assert set(metrics['errors']) == {'class', 'localisation', 'both', 'duplicate', 'background', 'missed'}
    page = (trained / 'report' / 'report.html').read_text()
    assert 'What the errors cost' in page
    assert page.count('<img ') > 0
    assert 'http://www.w3.org/2000/svg' in page.replace('https', 'http')
    assert 'src="http' not in page


def write_voc(folder, data_dir: str) -> None:
    """The XML and the list of the records' test images."""
    for part in ('Annotations', 'ImageSets/Main'):
        (folder / part).mkdir(parents=True)
    ids = []
    for batch in evaluation_batches(data_dir, 'test', 1):
        image_id, size, boxes, labels = (batch[name].numpy()[0] for name in ('image_id', 'size', 'boxes', 'labels'))
        objects = ''.join(
            f'<object><name>{CLASSES[label]}</name><bndbox>'
            + ''.join(f'<{side}>{value}</{side}>' for side, value in zip(SIDES, box.tolist(), strict=True))
            + '</bndbox></object>'
            for box, label in zip(to_voc_pixels(boxes, size, exact=True), labels, strict=True)
            if label >= 0
        )
        ids.append(image_id.decode())
        (folder / 'Annotations' / f'{ids[-1]}.xml').write_text(f'<annotation>{objects}</annotation>')
    (folder / 'ImageSets/Main/test.txt').write_text('\n'.join(ids))


def test_detections_through_the_devkits_files_have_the_same_ap(trained, tmp_path):
    write_voc(tmp_path / 'VOC', f'{trained}/data')
    run(
        'eval.py',
        f'--data_dir={trained}/data',
        f'--model_dir={trained}/run',
        f'--report_dir={tmp_path}/a',
        f'--write_detections={tmp_path}/found',
        '--score_threshold=0.001',
    )
    _, text = run(
        'eval.py',
        f'--detections_dir={tmp_path}/found',
        f'--voc_dir={tmp_path}/VOC',
        f'--report_dir={tmp_path}/b',
        '--coco',
        f'--compare={tmp_path}/a/metrics.json',
    )
    assert 'AP 11-point' in text
    assert 'COCO: AP 0.' in text
    assert [line.split() for line in text.splitlines() if line.startswith('mAP')][-1] == [
        'mAP',
        '+0.0000',
        '+0.0000',
        'to',
        '+0.0000',
        'no',
    ]
    assert json.loads((tmp_path / 'b/coco_detections.json').read_text())[0]['score'] > 0
    assert '<div class="none">no image</div>' in (tmp_path / 'b/report.html').read_text()  # there are none here
    a, b = (json.loads((tmp_path / name / 'metrics.json').read_text()) for name in 'ab')
    assert a['per_class'] == b['per_class']
    assert a['map_area'] == b['map_area'] > 0
    assert 'Against the other evaluation' in (tmp_path / 'b/report.html').read_text()
    for more, message in (
        ((f'--data_dir={trained}/data',), '--detections_dir goes with --voc_dir'),
        (('--score_threshold=0.9', '--batch_size=3'), '--batch_size, --score_threshold: that is for'),
        ((f'--compare={tmp_path}/b',), 'is where this report goes; give another --report_dir'),
    ):
        status, text = run(
            'eval.py',
            f'--detections_dir={tmp_path}/found',
            f'--voc_dir={tmp_path}/VOC',
            f'--report_dir={tmp_path}/b',
            *more,
            check=False,
        )
        assert status == 1
        assert message in text
        assert 'Traceback' not in text


def test_several_sizes_make_a_table(trained, tmp_path):
    _, text = run(
        'eval.py',
        f'--data_dir={trained}/data',
        f'--model_dir={trained}/run',
        f'--report_dir={tmp_path}',
        '--image_size=96,64,128',
        '--score_threshold=0.01',
    )
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert list(metrics['image_sizes']) == ['96 x 96', '64 x 64', '128 x 128']
    assert metrics['image_sizes']['96 x 96']['map_area'] == metrics['map_area']
    assert metrics['image_size'] == [96, 96]
    assert all(row['ms_per_image'] > 0 for row in metrics['image_sizes'].values())
    assert ' 64 x 64 pixels  mAP' in text
    assert 'the records hold images of 96 pixels, larger ones are these enlarged' in text
    assert 'Accuracy and speed by size' in (tmp_path / 'report.html').read_text()
    status, text = run(
        'eval.py', f'--data_dir={trained}/data', f'--model_dir={trained}/run', '--image_size=100', check=False
    )
    assert status == 1
    assert '--image_size=100: multiples of 32' in text


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--split=val',), "no split 'val'"),
        (('--model_dir=/nowhere',), 'no model.json'),
        (('--checkpoint=/nowhere/ckpt-1',), 'no /nowhere/ckpt-1 checkpoint'),
    ],
)
def test_eval_says_what_is_wrong(trained, flags, message):
    status, text = run('eval.py', f'--data_dir={trained}/data', f'--model_dir={trained}/run', *flags, check=False)
    assert status == 1
    assert message in text
    assert 'Traceback' not in text


def test_predict_draws_and_lists(trained, tmp_path):
    for i in range(3):
        image = make_image(np.random.default_rng(i), 80 + 20 * i, 2)[0]
        (tmp_path / f'photo {i}.png').write_bytes(images.encode_png(image))
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 no')
    status, text = run(
        '-m',
        'yolo.predict',
        f'--model_dir={trained}/run',
        f'--images={tmp_path}',
        '--batch_size=2',
        f'--out_dir={tmp_path}/out',
        '--score_threshold=0.001',
        check=False,
    )
    assert status == 1
    assert 'broken.jpg left out: the JPEG is cut off' in text
    found = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    assert [len(entry['detections']) > 0 for entry in found] == [True] * 3
    for i, entry in enumerate(found):
        assert entry['width'] == entry['height'] == 80 + 20 * i
        drawn = images.decode((tmp_path / 'out' / f'photo {i}.png.png').read_bytes())
        original = images.decode((tmp_path / f'photo {i}.png').read_bytes())
        assert drawn.shape == original.shape
        assert not np.array_equal(drawn, original)
        for one in entry['detections']:
            assert one['label'] in ('bright', 'dark')
            assert 0 <= one['xmin'] <= one['xmax'] <= entry['width']
    status, text = run(
        '-m', 'yolo.predict', f'--model_dir={trained}/run', '--images=/nowhere', '--out_dir=/tmp/x', check=False
    )
    assert status == 1
    assert 'no such file or folder' in text


def test_predict_takes_a_pattern_and_makes_a_sheet(trained, tmp_path):
    for name in ('a1', 'a2', 'b1'):
        (tmp_path / f'{name}.png').write_bytes(images.encode_png(make_image(np.random.default_rng(0), 96, 1)[0]))
    run(
        '-m',
        'yolo.predict',
        f'--model_dir={trained}/run',
        f'--images={tmp_path}/a*.png',
        f'--out_dir={tmp_path}/out',
        '--sheet=5',
        '--checkpoint=latest',
    )
    found = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    assert [os.path.basename(entry['image']) for entry in found] == ['a1.png', 'a2.png']
    assert images.decode((tmp_path / 'out' / 'sheet.png').read_bytes()).shape == (128, 204, 3)


def test_to_darknet_and_back(trained, tmp_path):
    """Model folder -> .cfg and .weights -> model folder -> .keras: the same numbers everywhere."""
    _, text = run(
        '-m',
        'yolo.convert',
        f'--model_dir={trained}/run',
        f'--cfg_out={tmp_path}/m.cfg',
        f'--weights_out={tmp_path}/m.weights',
    )
    assert 'convolution 3 x 3 leaky norm' in text
    assert 'region, 3 anchors, 2 classes' in text
    run(
        '-m',
        'yolo.convert',
        f'--cfg={tmp_path}/m.cfg',
        f'--weights={tmp_path}/m.weights',
        '--labels=bright,dark',
        f'--model_dir_out={tmp_path}/back',
        f'--keras_out={tmp_path}/m.keras',
    )
    run(
        '-m',
        'yolo.convert',
        f'--keras={tmp_path}/m.keras',
        f'--cfg_out={tmp_path}/n.cfg',
        f'--weights_out={tmp_path}/n.weights',
    )
    assert (tmp_path / 'n.weights').read_bytes() == (tmp_path / 'm.weights').read_bytes()
    assert (tmp_path / 'n.cfg').read_bytes() == (tmp_path / 'm.cfg').read_bytes()
    common = ('eval.py', f'--data_dir={trained}/data', '--score_threshold=0.01')
    run(*common, f'--model_dir={trained}/run', f'--report_dir={tmp_path}/a')
    run(*common, f'--model_dir={tmp_path}/back', f'--report_dir={tmp_path}/b')
    run(*common, f'--cfg={tmp_path}/m.cfg', f'--weights={tmp_path}/m.weights', f'--report_dir={tmp_path}/c')
    found = [json.loads((tmp_path / name / 'metrics.json').read_text()) for name in 'abc']
    assert found[0]['per_class'] == found[1]['per_class'] == found[2]['per_class']
    assert found[0]['per_class']['dark']['num_detections'] > 0
    assert found[2]['resize'] == 'stretch'


@pytest.mark.parametrize(
    ('command', 'flags', 'message'),
    [
        ('convert', (), 'give one of --cfg and --weights'),
        ('convert', ('--model_dir={run}',), 'nothing to write'),
        ('convert', ('--model_dir={run}', '--labels=a,b,c', '--keras_out=x.keras'), '3 names, but the network has 2'),
        ('eval', ('--model_dir={run}', '--resize=letterbox'), 'preprocess with --resize=letterbox'),
        ('eval', ('--model_dir={run}', '--match_iou=0'), 'every detection would find'),
        ('eval', ('--model_dir={run}', '--report_dir=setup.cfg'), 'File exists'),
        ('train', ('--model_dir={run}2', '--lr_schedule=constant', '--decay_steps=1'), '--decay_steps goes with'),
        ('train', ('--model_dir={run}2', '--decay_steps=1,x'), '--decay_steps=1,x: whole numbers'),
        ('train', ('--model_dir={run}2', '--scale=a,b'), '--scale=a,b: two numbers'),
        ('eval', ('--cfg=x.cfg',), '--cfg and --weights go together'),
        ('train', ('--model_dir={run}2', '--freeze=99'), '--freeze=99: not backbone, nor a number below the 23'),
        ('train', ('--model_dir={run}2', '--model=none.cfg'), 'none.cfg cannot be read'),
    ],
)
def test_what_does_not_fit_is_one_line(trained, command, flags, message):
    start = {
        'convert': ('-m', 'yolo.convert'),
        'eval': ('eval.py', f'--data_dir={trained}/data'),
        'train': ('train.py', f'--data_dir={trained}/data', '--train_split=train'),
    }[command]
    status, text = run(*start, *(flag.format(run=trained / 'run') for flag in flags), check=False)
    assert status == 1
    assert message in text
    assert 'Traceback' not in text


def test_images_of_one_name_are_drawn_to_different_files():
    found = predict.drawn_paths('out', ['a/x.jpg', 'b/x.jpg', 'b/y.jpg'])
    assert found == {'a/x.jpg': 'out/a_x.jpg.png', 'b/x.jpg': 'out/b_x.jpg.png', 'b/y.jpg': 'out/y.jpg.png'}
