"""Files exported from Darknet's networks: they say so, and where they know the photo, boxes end where they should."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from conftest import CLASSES
from exported_models import LIMITS, SIZE, export, make_model, make_photo

from yolo.backends import tensorflow_backend
from yolo.backends.loading import load_detector
from yolo.detection import exported
from yolo.detection.detector import Detector
from yolo.export import draft
from yolo.models.folding import FoldedNetwork, fold
from yolo.models.model_folder import ModelInfo

PHOTO = make_photo(1, (150, 90))
SHORT = np.array([0, 0, 1, 1])


def network(convention: str) -> FoldedNetwork:
    folded = fold(make_model())
    return dataclasses.replace(folded, network=dataclasses.replace(folded.network, box_convention=convention))


def detector_of(folded: FoldedNetwork) -> Detector:
    """The detector that has the network itself."""
    about = CLASSES, folded.network.region.anchors, SIZE, 'letterbox'
    return Detector(
        tensorflow_backend.load(folded), *about, limits=LIMITS, box_convention=folded.network.box_convention
    )


def check_same(result, expected) -> None:
    assert len(result) == len(expected) > 1
    np.testing.assert_allclose(result.boxes, expected.boxes, atol=1e-2)
    np.testing.assert_allclose(result.scores, expected.scores, atol=1e-5)


def test_a_detector_adds_the_pixel_that_darknet_leaves_out():
    as_voc, as_darknet = (detector_of(network(convention))(PHOTO) for convention in ('voc', 'darknet'))
    np.testing.assert_array_equal(as_voc.scores, as_darknet.scores)
    expected = np.minimum(as_voc.boxes + SHORT, [90, 150, 90, 150])
    np.testing.assert_allclose(as_darknet.boxes, expected, atol=1e-4)
    np.testing.assert_allclose(as_darknet.relative_boxes * [90, 150, 90, 150], expected, atol=1e-4)
    assert (as_darknet.boxes[:, 2:] - as_voc.boxes[:, 2:] > 0.9).any()


@pytest.mark.parametrize('output', ['boxes', pytest.param('raw', marks=pytest.mark.slow)])
def test_an_onnx_file_says_it_and_our_runtime_adds_the_pixel(tmp_path, output):
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    folded = network('darknet')
    path = export(tmp_path, 'onnx', 'letterbox', folded, output=output)
    assert exported.read(path).box_convention == 'darknet'
    check_same(load_detector(path, score_threshold=0.3, max_detections=20)(PHOTO), detector_of(folded)(PHOTO))
    as_voc = load_detector(path, score_threshold=0.3, max_detections=20, box_convention='voc')(PHOTO)
    check_same(as_voc, detector_of(network('voc'))(PHOTO))


@pytest.mark.slow
@pytest.mark.parametrize('output', ['detections', 'boxes', 'raw'])
def test_a_saved_model_adds_it_in_photos_and_our_runtime_adds_it_once(tmp_path, output):
    paths = {
        convention: export(tmp_path / convention, 'saved_model', 'letterbox', network(convention), output=output)
        for convention in ('voc', 'darknet')
    }
    result = load_detector(paths['darknet'], score_threshold=0.3, max_detections=20)(PHOTO)
    check_same(result, detector_of(network('darknet'))(PHOTO))
    photos = tf.constant(PHOTO[None])
    as_voc, as_darknet = (
        {
            name: value.numpy()[0]
            for name, value in tf.saved_model.load(path).signatures['serving_default'](photos).items()
        }
        for path in paths.values()
    )
    if output == 'detections':
        count = as_darknet['count']
        np.testing.assert_allclose(as_darknet['boxes'][:count], result.boxes, atol=1e-2)
    elif output == 'boxes':
        np.testing.assert_allclose(as_darknet['boxes'], as_voc['boxes'] + SHORT / [90, 150, 90, 150], atol=1e-5)
    else:
        np.testing.assert_array_equal(as_darknet['raw'], as_voc['raw'])


def test_a_saved_model_of_an_earlier_version_gives_boxes_by_its_only_signature(tmp_path):
    """One that takes images of the network's size as photos: boxes relative to these are relative to both."""

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, 'images')], autograph=False)
    def serve(images):
        brightest = tf.reduce_max(tf.cast(images, tf.float32), [1, 2])[:, :1] / 255  # so that it is of the image
        box = tf.constant([[0.25, 0.5, 0.75, 0.625]])
        return {'boxes': tf.tile(box[None], [tf.shape(images)[0], 1, 1]), 'scores': brightest[:, None] * [[[0.9, 0.1]]]}

    path, folded = f'{tmp_path}/saved_model', network('voc')
    tf.saved_model.save(tf.Module(), path, {'serving_default': serve})
    options = draft.Options(exported.BOXES, SIZE)
    exported.write(path, draft.make(folded, ModelInfo(CLASSES, 'stretch'), exported.SAVED_MODEL, options))
    result = load_detector(path)(np.full_like(PHOTO, 255))
    np.testing.assert_allclose(result.boxes, [[0.25 * 90, 0.5 * 150, 0.75 * 90, 0.625 * 150]], atol=1e-4)
    np.testing.assert_allclose(result.scores, [0.9], atol=1e-6)


@pytest.mark.slow
def test_a_tflite_file_says_it(tmp_path):
    path = export(tmp_path, 'tflite', 'letterbox', network('darknet'))
    assert exported.read(path).box_convention == 'darknet'
