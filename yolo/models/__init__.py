"""Networks: one description of each, its Keras model, and the files that hold either.

Importing this package registers the model and its layers with Keras, so that `keras.models.load_model` reads .keras
files of them. It loads TensorFlow: commands import it where they need a model.
"""

from yolo.models.build import DarknetModel, build_model

__all__ = ['DarknetModel', 'build_model']
