"""The commands: most tests call them within this process, those marked slow as real processes."""

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import CLASSES, ROOT, SMALL, make_image, write_records

import yolo.__main__
from preprocess import __main__ as preprocess_main
from yolo.cli import flags
from yolo.data import images
from yolo.data.pipeline import evaluation_batches
from yolo.data.voc_xml import SIDES
from yolo.evaluation.voc_matching import to_voc_pixels

SMALL_RUN = ('--train_split=train', '--strategy=one_device', '--nojit_compile', f'--model={SMALL}', '--batch_size=4')


def command_of(name: str) -> flags.Command:
    """A command by the name of its script, or of its first word behind `yolo` or `preprocess`."""
    if name in yolo.__main__.COMMANDS:
        return yolo.__main__.COMMANDS[name]
    if name in preprocess_main.COMMANDS:
        return importlib.import_module(preprocess_main.COMMANDS[name]).COMMAND
    return preprocess_main.COMMAND if name == 'preprocess' else importlib.import_module(name).COMMAND


@pytest.fixture
def call(capfd):
    """Calls a command within this process: its exit status, and all it printed."""

    def called(name: str, *words: str, check: bool = False) -> tuple[int, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            flags.run(command_of(name), [name, *words])
        out, err = capfd.readouterr()
        status = int(ended.value.code or 0)
        assert status == 0 or not check, out + err
        return status, out + err

    return called


def process(*command: str, check: bool = True) -> tuple[int, str]:
    """Runs Python with these words: its exit status, and all it printed."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A folder with records in `data` and a short run in `run`."""
    folder = tmp_path_factory.mktemp('trained')
    write_records(folder / 'data')
    with pytest.raises(SystemExit) as ended:
        flags.run(
            command_of('train'),
            [
                'train.py',
                f'--data_dir={folder}/data',
                '--eval_split=test',
                f'--model_dir={folder}/run',
                '--epochs=2',
                '--log_every=1',
                *SMALL_RUN,
            ],
        )
    assert not ended.value.code
    return folder


COMMANDS = {
    'preprocess': ('-m', 'preprocess'),
    'show': ('-m', 'preprocess', 'show'),
    'verify': ('-m', 'preprocess', 'verify'),
    'shapes': ('-m', 'preprocess', 'shapes'),
    'train': ('train.py',),
    'eval': ('eval.py',),
    'predict': ('-m', 'yolo', 'predict'),
    'convert': ('-m', 'yolo', 'convert'),
    'suspects': ('-m', 'yolo', 'suspects'),
}


@pytest.mark.parametrize('name', COMMANDS)
def test_help_lists_every_flag_under_a_heading(call, name):
    status, text = call(name, '--help')
    command = command_of(name)
    assert status == 0
    for flag in flags.define(command.settings):
        if flag not in ('v', *flags.LOGGING_FLAGS):
            assert f'  --{flag}=' in text or f'  --[no]{flag}\n' in text
    assert text.startswith((command.doc or '').strip().splitlines()[0])


def test_help_starts_without_tensorflow():
    """So that it is there at once: of every command, also under the older names."""
    words = [*COMMANDS.values(), ('-m', 'yolo.predict'), ('-m', 'yolo.convert')]
    for command in words:
        arguments = ['-X', 'importtime', *command, '--help']
        done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert ' absl.flags' in done.stderr  # the list of imports is there
        assert ' tensorflow\n' not in done.stderr, command


@pytest.mark.parametrize(
    ('name', 'words', 'message'),
    [
        ('train', (), '--data_dir is missing: Folder of records.'),
        ('train', ('--data_dir=x', '--model_dir=y', '--batch_size=0'), '--batch_size=0: must be 1 or more'),
        ('train', ('--data_dir=x', '--model_dir=y', '--batch_size=some'), "'some' is not a whole number"),
        ('train', ('--data_dir=x', '--model_dir=y', '--loss=mse'), '--loss=mse: not one of region, notebook'),
        ('train', ('--data_dir=x', '--model_dir=y', '--scale=2,1'), '--scale=2,1: the smaller number comes first'),
        ('train', ('--data_dir=x', '--model_dir=y', '--sizes=320'), '--sizes=320: 2 numbers are needed'),
        ('train', ('--data_dir=x', '--model_dir=y', '--learning_rate=nan'), '--learning_rate=nan: not a finite number'),
        ('train', ('--recipe=none',), '--recipe=none: not one of yolov2-voc, '),
        ('train', ('--print_config', '--epochs=1', '--num_steps=1'), 'give one of --num_steps and --epochs'),
        ('train', ('--batchsize=3',), "Unknown command line flag 'batchsize'"),
        ('train', ('batch_size=3',), 'batch_size=3: not a flag'),
        ('preprocess', ('--voc_dir=x',), '--out_dir is missing'),
        ('preprocess', ('--out_dir=x',), 'give one of --images_dir, --voc_dir, --coco, --yolo and --tfds'),
        ('verify', (), '--data_dir is missing'),
        ('shapes', ('--out_dir=x', '--num_test=0'), '--num_test=0: must be 1 or more'),
        ('eval', (), 'give either --data_dir and a model, or --detections_dir'),
        ('predict', ('--model_dir=x',), '--out_dir is missing'),
    ],
)
def test_bad_flags_are_one_plain_line(call, name, words, message):
    status, text = call(name, *words)
    assert status == 1
    assert message in text
    assert text.count('\n') == 1
    assert text.startswith(f'{command_of(name).name}: ')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ((), 'a command is missing; there are predict, convert'),
        (('detect',), "no command 'detect'; there are predict, convert"),
    ],
)
def test_yolo_names_its_commands(words, message):
    with pytest.raises(SystemExit, match=message):
        yolo.__main__.main(['yolo', *words])


def test_print_config_is_a_flagfile(call, tmp_path):
    status, text = call('train', '--print_config', '--recipe=notebook', '--learning_rate=0.25')
    assert status == 0
    (tmp_path / 'flags').write_text(text)
    assert '--learning_rate=0.25' in text.splitlines()  # a flag overrides the recipe
    assert '--loss=notebook' in text.splitlines()
    _, again = call('train', '--print_config', f'--flagfile={tmp_path}/flags')
    assert again.splitlines()[1:] == text.splitlines()[1:]  # all but the name of the recipe


def test_train_leaves_config_and_checkpoints(trained):
    config = json.loads((trained / 'run' / 'config.json').read_text())
    assert config['num_steps'] == 4
    assert config['decay_steps'] == [1, 2]  # the recipe's, of 4 steps
    assert config['model'] == SMALL
    assert (trained / 'run' / 'best' / 'metrics.json').exists()


def test_train_again_goes_on_and_other_settings_are_refused(call, trained):
    flags = (f'--data_dir={trained}/data', f'--model_dir={trained}/run', *SMALL_RUN)
    status, text = call('train', *flags, '--epochs=3')
    assert status == 1
    assert 'num_steps: 4 there, 6 now' in text
    assert 'for more steps keep its learning rate with --decay_steps=1,2, or' in text
    assert 'Traceback' not in text
    _, text = call('train', *flags, '--epochs=2', check=True)
    assert f'finished already: {trained}/run/checkpoints/ckpt-4' in text


def test_eval_writes_metrics(call, trained):
    _, text = call(
        'eval',
        f'--data_dir={trained}/data',
        '--split=test',
        f'--model_dir={trained}/run',
        f'--report_dir={trained}/report',
        '--score_threshold=0.01',
        '--batch_size=3',
        check=True,
    )
    assert 'AP 11-point' in text
    assert 'bright' in text
    metrics = json.loads((trained / 'report' / 'metrics.json').read_text())
    assert {'map_11pt', 'map_area', 'per_class', 'num_images', 'thresholds'} <= set(metrics)
    assert metrics['num_images'] == 8
    expected = {'score': 0.01, 'suppression_iou': 0.45, 'max_detections': 500, 'match_iou': 0.5}
    assert metrics['thresholds'] == {**expected, 'nms_scope': 'per_class', 'nms': 'greedy'}
    assert metrics['backend'] == 'tensorflow'
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


def test_detections_through_the_devkits_files_have_the_same_ap(call, trained, tmp_path):
    write_voc(tmp_path / 'VOC', f'{trained}/data')
    call(
        'eval',
        f'--data_dir={trained}/data',
        f'--model_dir={trained}/run',
        f'--report_dir={tmp_path}/a',
        f'--write_detections={tmp_path}/found',
        '--score_threshold=0.001',
        check=True,
    )
    _, text = call(
        'eval',
        f'--detections_dir={tmp_path}/found',
        f'--voc_dir={tmp_path}/VOC',
        f'--report_dir={tmp_path}/b',
        '--coco',
        f'--compare={tmp_path}/a/metrics.json',
        check=True,
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
        (('--score_threshold=0.9', '--batch_size=3'), '--batch_size, --score_threshold: only for evaluating a model'),
        ((f'--compare={tmp_path}/b',), 'is where this report goes; give another --report_dir'),
    ):
        status, text = call(
            'eval',
            f'--detections_dir={tmp_path}/found',
            f'--voc_dir={tmp_path}/VOC',
            f'--report_dir={tmp_path}/b',
            *more,
        )
        assert status == 1
        assert message in text
        assert 'Traceback' not in text
    for path in (tmp_path / 'found').iterdir():  # the results of one image alone
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(''.join(line for line in lines if line.split()[0] == 'im_1'))
    flags_of_files = (f'--detections_dir={tmp_path}/found', f'--voc_dir={tmp_path}/VOC', f'--report_dir={tmp_path}/b')
    _, text = call('eval', *flags_of_files, check=True)
    assert 'images of the list test.txt have no detection in' in text


def test_several_sizes_make_a_table(call, trained, tmp_path):
    _, text = call(
        'eval',
        f'--data_dir={trained}/data',
        f'--model_dir={trained}/run',
        f'--report_dir={tmp_path}',
        '--image_size=96,64,128',
        '--score_threshold=0.01',
        check=True,
    )
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert list(metrics['image_sizes']) == ['96 x 96', '64 x 64', '128 x 128']
    assert metrics['image_sizes']['96 x 96']['map_area'] == metrics['map_area']
    assert metrics['image_size'] == [96, 96]
    assert all(row['ms_per_image'] > 0 for row in metrics['image_sizes'].values())
    assert ' 64 x 64 pixels  mAP' in text
    assert 'the images of test are stored at 96 x 96 pixels and enlarged to 128 x 128' in text
    assert 'Accuracy and speed by size' in (tmp_path / 'report.html').read_text()
    status, text = call('eval', f'--data_dir={trained}/data', f'--model_dir={trained}/run', '--image_size=100')
    assert status == 1
    assert '--image_size=100: multiples of 32' in text


def test_eval_counts_one_label_an_object_where_all_classes_suppress_each_other(call, trained, tmp_path):
    counts = {}
    for scope in ('per_class', 'all_classes'):
        words = ('--score_threshold=0.001', f'--nms_scope={scope}', f'--report_dir={tmp_path}/{scope}')
        call('eval', f'--data_dir={trained}/data', f'--model_dir={trained}/run', *words, check=True)
        metrics = json.loads((tmp_path / scope / 'metrics.json').read_text())
        assert metrics['thresholds']['nms_scope'] == scope
        counts[scope] = sum(row['num_detections'] for row in metrics['per_class'].values())
    assert 0 < counts['all_classes'] < counts['per_class']


@pytest.mark.slow
def test_eval_with_means_of_boxes_says_so_against_the_greedy_ones(call, trained, tmp_path):
    words = (f'--data_dir={trained}/data', f'--model_dir={trained}/run', '--score_threshold=0.001', '--nms_iou=0.1')
    call('eval', *words, f'--report_dir={tmp_path}/greedy', check=True)
    more = ('--nms=wbf', f'--report_dir={tmp_path}/wbf', f'--compare={tmp_path}/greedy')
    _, text = call('eval', *words, *more, check=True)
    assert 'greedy/metrics.json is of nms=greedy, this evaluation of nms=wbf: the difference may come of that' in text
    assert 'boxes are means of those that they suppress: --nms=wbf' in text
    greedy, wbf = (np.load(tmp_path / name / 'detections.npz') for name in ('greedy', 'wbf'))
    np.testing.assert_array_equal(greedy['detections_scores'], wbf['detections_scores'])
    moved = np.abs(greedy['detections_boxes'] - wbf['detections_boxes']).max(1)
    assert moved.max() > 1
    assert json.loads((tmp_path / 'wbf/metrics.json').read_text())['thresholds']['nms'] == 'wbf'
    status, text = call('eval', *words, '--nms=soft')
    assert status == 1
    assert '--nms=soft: not one of greedy, wbf' in text


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--split=val',), "no split 'val'"),
        (('--model_dir=/nowhere',), '/nowhere: no such file or folder'),
        (('--model=/nowhere',), 'give one of --model_dir, --model, or --cfg and --weights'),
        (('--backend=litert', '--checkpoint=/nowhere/ckpt-1'), '/nowhere/ckpt-1: no checkpoint is there'),
        (('--checkpoint=/nowhere/ckpt-1',), '/nowhere/ckpt-1: no checkpoint is there'),
    ],
)
def test_eval_says_what_is_wrong(call, trained, flags, message):
    status, text = call('eval', f'--data_dir={trained}/data', f'--model_dir={trained}/run', *flags)
    assert status == 1
    assert message in text
    assert 'Traceback' not in text


def test_predict_draws_and_lists(call, trained, tmp_path):
    for i in range(3):
        image = make_image(np.random.default_rng(i), 80 + 20 * i, 2)[0]
        (tmp_path / f'photo {i}.png').write_bytes(images.encode_png(image))
    (tmp_path / 'broken.jpg').write_bytes(b'\xff\xd8 no')
    status, text = call(
        'predict',
        f'--model_dir={trained}/run',
        f'--images={tmp_path}',
        '--batch_size=2',
        f'--out_dir={tmp_path}/out',
        '--score_threshold=0.001',
    )
    assert status == 1
    assert 'broken.jpg left out: not an image, or its header is cut off' in text
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
    status, text = call('predict', f'--model_dir={trained}/run', '--images=/nowhere', '--out_dir=/tmp/x')
    assert status == 1
    assert 'no such file or folder' in text


def test_predict_takes_a_pattern_and_makes_a_sheet(call, trained, tmp_path):
    for name in ('a1', 'a2', 'b1'):
        (tmp_path / f'{name}.png').write_bytes(images.encode_png(make_image(np.random.default_rng(0), 96, 1)[0]))
    call(
        'predict',
        f'--model_dir={trained}/run',
        f'--images={tmp_path}/a*.png',
        f'--out_dir={tmp_path}/out',
        '--sheet=5',
        '--checkpoint=latest',
        check=True,
    )
    found = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    assert [os.path.basename(entry['image']) for entry in found] == ['a1.png', 'a2.png']
    assert images.decode((tmp_path / 'out' / 'sheet.png').read_bytes()).shape == (128, 204, 3)


@pytest.mark.slow
def test_to_darknet_and_back(call, trained, tmp_path):
    """Model folder -> .cfg and .weights -> model folder -> .keras: the same numbers everywhere."""
    _, text = call(
        'convert',
        f'--model_dir={trained}/run',
        f'--cfg_out={tmp_path}/m.cfg',
        f'--weights_out={tmp_path}/m.weights',
        check=True,
    )
    assert 'convolution 3 x 3 leaky norm' in text
    assert 'region, 3 anchors, 2 classes' in text
    call(
        'convert',
        f'--cfg={tmp_path}/m.cfg',
        f'--weights={tmp_path}/m.weights',
        '--labels=bright,dark',
        f'--model_dir_out={tmp_path}/back',
        f'--keras_out={tmp_path}/m.keras',
        check=True,
    )
    call(
        'convert',
        f'--keras={tmp_path}/m.keras',
        f'--cfg_out={tmp_path}/n.cfg',
        f'--weights_out={tmp_path}/n.weights',
        check=True,
    )
    assert (tmp_path / 'n.weights').read_bytes() == (tmp_path / 'm.weights').read_bytes()
    _, text = call('convert', f'--keras={tmp_path}/m.keras', f'--model_dir_out={tmp_path}/nameless', check=True)
    assert 'no class names: detections will be called class 0' in text
    assert (tmp_path / 'n.cfg').read_bytes() == (tmp_path / 'm.cfg').read_bytes()
    common = ('eval', f'--data_dir={trained}/data', '--score_threshold=0.01')
    call(*common, f'--model_dir={trained}/run', f'--report_dir={tmp_path}/a', check=True)
    call(*common, f'--model_dir={tmp_path}/back', f'--report_dir={tmp_path}/b', check=True)
    call(
        *common, f'--cfg={tmp_path}/m.cfg', f'--weights={tmp_path}/m.weights', f'--report_dir={tmp_path}/c', check=True
    )
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
        ('eval', ('--model_dir={run}', '--match_iou=0'), 'must be more than 0'),
        ('eval', ('--model_dir={run}', '--report_dir=setup.cfg'), 'setup.cfg is a file, not a folder'),
        ('train', ('--model_dir={run}2', '--lr_schedule=constant', '--decay_steps=1'), '--decay_steps goes with'),
        ('train', ('--model_dir={run}2', '--decay_steps=1,x'), "--decay_steps=1,x: 'x' is not a whole number"),
        ('train', ('--model_dir={run}2', '--scale=a,b'), "--scale=a,b: 'a' is not a number"),
        ('eval', ('--cfg=x.cfg',), '--cfg and --weights go together'),
        ('train', ('--model_dir={run}2', '--freeze=99'), '--freeze=99: neither backbone nor a number below the 23'),
        ('train', ('--model_dir={run}2', '--model=none.cfg'), 'none.cfg cannot be read'),
    ],
)
def test_what_does_not_fit_is_one_line(call, trained, command, flags, message):
    start = {
        'convert': (),
        'eval': (f'--data_dir={trained}/data',),
        'train': (f'--data_dir={trained}/data', '--train_split=train', '--strategy=one_device'),
    }[command]
    status, text = call(command, *start, *(flag.format(run=trained / 'run') for flag in flags))
    assert status == 1
    assert message in text
    assert 'Traceback' not in text


@pytest.mark.slow
def test_the_commands_as_processes(tmp_path):
    """From shapes to predictions, by the scripts and by the older names of predict and convert."""
    process('-m', 'preprocess', 'shapes', f'--out_dir={tmp_path}/VOC', '--num_train=8', '--num_test=4')
    _, text = process('-m', 'preprocess', f'--voc_dir={tmp_path}/VOC', f'--out_dir={tmp_path}/data', '--image_size=64')
    assert f'{tmp_path}/data/report.html' in text
    flags = (f'--data_dir={tmp_path}/data', f'--model_dir={tmp_path}/run')
    _, text = process('train.py', *flags, '--batch_size=4', '--num_steps=2', f'--model={SMALL}', '--nomulti_scale')
    assert 'cuda' not in text
    assert 'oneDNN' not in text
    _, text = process('eval.py', *flags)
    assert 'mAP' in text
    assert 'cuda' not in text
    pictures = f'--images={tmp_path}/VOC/JPEGImages/test_*.jpg'
    process('-m', 'yolo.predict', flags[1], pictures, f'--out_dir={tmp_path}/a')
    process('-m', 'yolo', 'predict', flags[1], pictures, f'--out_dir={tmp_path}/b')
    assert (tmp_path / 'a/detections.json').read_bytes() == (tmp_path / 'b/detections.json').read_bytes()
    _, text = process('-m', 'yolo.convert', flags[1], f'--keras_out={tmp_path}/m.keras')
    assert f'written: {tmp_path}/m.keras' in text
    status, text = process('eval.py', *flags, '--split=val', check=False)
    assert (status, text) == (1, "eval.py: no split 'val' in this folder; it has test, trainval\n")
