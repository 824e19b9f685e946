"""An exported SavedModel in TensorFlow."""

import numpy as np
import tensorflow as tf

from yolo.detection import exported
from yolo.detection.detector import Backend
from yolo.detection.exported import Exported

# Signatures and their inputs.
DEFAULT, NETWORK = (exported.SERVING, exported.PHOTOS), (exported.NETWORK_IMAGES, exported.NETWORK_IMAGES)
# By output: the signature, and what it gives.
SIGNATURES = {
    exported.RAW: (DEFAULT, {'raw'}),
    exported.BOXES: (NETWORK, {'boxes', 'scores'}),
    exported.DETECTIONS: (NETWORK, {'boxes', 'scores', 'classes', 'count'}),
}


def load(path: str, about: Exported) -> Backend:
    """The backend of a SavedModel of `yolo export`: images of its size -> the outputs that `about` names.

    ValueError if it is another SavedModel, or damaged.
    """
    try:
        model = tf.saved_model.load(path)
    except Exception as error:  # what TensorFlow raises for a damaged file can be of any class
        text = ' '.join(str(getattr(error, 'message', None) or error).split())
        raise ValueError(f'this SavedModel is damaged ({text}); export it again') from error
    (name, input_name), expected = SIGNATURES[about.output]
    signatures = getattr(model, 'signatures', {})
    if about.output == exported.BOXES and name not in signatures:  # of an earlier version, without one
        name, input_name = DEFAULT
    signature = signatures.get(name)
    given = set(signature.structured_outputs) if signature else set()
    if signature is None or given != expected:
        gives = f'gives {", ".join(sorted(given))}' if given else 'is not there'
        raise ValueError(
            f'its signature {name} {gives}, its description is of one that gives {", ".join(sorted(expected))}; '
            'export it again'
        )

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = model.signatures[name](**{input_name: tf.constant(images)})  # which needs the model's variables
        return {output: value.numpy() for output, value in outputs.items()}

    return Backend(run, 'tensorflow', about.batch_size)
