"""eval.py on exported files and on other backends: the mAP of the checkpoint, and a comparison that says so."""

import json

import pytest
from conftest import DATA
from test_commands import call  # noqa: F401

OLD = DATA / 'version_0_1'
RECORDS, RUN = f'{OLD}/records', f'{OLD}/run'
LIMITS = ('--score_threshold=0.005', '--max_detections=500')


def metrics_of(folder) -> dict:
    return json.loads((folder / 'metrics.json').read_text())


@pytest.fixture
def report(call, tmp_path):  # noqa: F811
    """Evaluates the checkpoint with TensorFlow; the folder of its report."""
    call('eval', f'--data_dir={RECORDS}', f'--model_dir={RUN}', f'--report_dir={tmp_path}/report', check=True)
    assert metrics_of(tmp_path / 'report')['backend'] == 'tensorflow'
    return tmp_path / 'report'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('kind', 'output', 'file', 'package', 'allowed'),
    [
        ('saved_model', 'detections', 'saved_model', 'tensorflow', 1e-6),
        ('onnx', 'boxes', 'model.onnx', 'onnxruntime', 1e-6),
        ('onnx', 'raw', 'model.onnx', 'onnxruntime', 1e-6),
        ('onnx', 'detections', 'model.onnx', 'onnxruntime', 1e-6),
        ('tflite', 'boxes', 'model.tflite', 'ai_edge_litert', 1e-6),
        ('tflite_fp16', 'boxes', 'model_fp16.tflite', 'ai_edge_litert', 0.02),
    ],
)
def test_an_exported_file_has_the_map_of_its_checkpoint(call, report, tmp_path, kind, output, file, package, allowed):  # noqa: F811
    pytest.importorskip(package)
    out_dir, other = tmp_path / 'exported', tmp_path / 'other'
    call('export', f'--model_dir={RUN}', f'--out_dir={out_dir}', f'--formats={kind}', f'--output={output}', *LIMITS)
    _, text = call(
        'eval',
        f'--data_dir={RECORDS}',
        f'--model={out_dir}/{file}',
        f'--report_dir={other}',
        f'--compare={report}/metrics.json',
        check=True,
    )
    before, after = metrics_of(report), metrics_of(other)
    assert before['map_area'] > 0
    assert abs(after['map_area'] - before['map_area']) <= allowed
    assert after['checkpoint'] == f'{out_dir}/{file}'
    assert after['num_images'] == before['num_images']
    assert [line.split()[-1] for line in text.splitlines() if line.startswith('mAP')][-1] == 'no'  # no real difference


@pytest.mark.slow
@pytest.mark.parametrize(
    ('backend', 'package'),
    [('onnxruntime', 'onnxruntime'), ('openvino', 'openvino'), ('opencv', 'cv2'), ('litert', 'ai_edge_litert')],
)
def test_a_run_by_another_backend_has_the_same_map(call, report, tmp_path, backend, package):  # noqa: F811
    pytest.importorskip(package)
    pytest.importorskip('onnx')
    common = ('eval', f'--data_dir={RECORDS}', f'--model_dir={RUN}', f'--report_dir={tmp_path}/other')
    call(*common, f'--backend={backend}', check=True)
    after = metrics_of(tmp_path / 'other')
    assert after['backend'] == backend
    assert after['map_area'] == pytest.approx(metrics_of(report)['map_area'], abs=1e-6)


@pytest.mark.slow
def test_what_an_exported_file_leaves_out_is_said(call, tmp_path):  # noqa: F811
    out_dir = tmp_path / 'exported'
    call('export', f'--model_dir={RUN}', f'--out_dir={out_dir}', '--formats=saved_model', '--max_detections=7')
    flags = ('eval', f'--data_dir={RECORDS}', f'--model={out_dir}/saved_model', f'--report_dir={tmp_path}/report')
    _, text = call(*flags, check=True)
    assert 'leaves out detections with a score under 0.25 itself: 0.005 has no effect' in text
    assert 'leaves out detections beyond the number of 7 itself: 500 has no effect' in text
    status, text = call(*flags, '--nms=wbf')
    assert status == 1
    assert 'saved_model suppresses boxes itself, and none are left to average: nms=wbf' in text
    status, text = call(*flags, '--image_size=96')
    assert status == 1
    assert 'takes images of 64 x 64 pixels, not 96 x 96; export it again with --image_size=96x96' in text
