"""The folder of a model: its network and classes, the newest checkpoints with all that training needs, and the best.

| file | what |
| --- | --- |
| network.cfg | the network as a Darknet .cfg: layers, anchors, image size |
| model.json | names of the classes; how images are resized to the network's size |
| config.json | the settings of the run; a converted model has none |
| checkpoints | weights, `seen` (images of the training) and the state of the optimizer |
| best | weights and `seen` |
"""

import dataclasses
import hashlib
import json
import posixpath
import zipfile

import keras
import tensorflow as tf

from yolo import descriptions, storage
from yolo.geometry.letterbox import RESIZES
from yolo.models import cfg, weights
from yolo.models.build import DarknetModel
from yolo.models.spec import Network
from yolo.settings import recorded

NETWORK, MODEL = 'network.cfg', 'model.json'


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is in model.json. classes: their names, empty if unknown; resize: one of letterbox.RESIZES."""

    classes: tuple[str, ...]
    resize: str = recorded(choices=RESIZES)


def best_folder(model_dir: str) -> str:
    """The folder of the weights with the best mAP (or loss)."""
    return posixpath.join(model_dir, 'best')


def latest_folder(model_dir: str) -> str:
    """The folder of the newest checkpoints."""
    return posixpath.join(model_dir, 'checkpoints')


def write_model(model_dir: str, network: Network, info: ModelInfo, begun: bool) -> None:
    """Writes network.cfg and model.json; begun: the folder has weights already.

    ValueError if those weights belong to another network.
    """
    path = posixpath.join(model_dir, NETWORK)
    if begun and cfg.read(path) != network:
        raise ValueError(f'{path} is another network than the one that is asked for; use another --model_dir')
    storage.make_folder(model_dir)
    storage.write(path, cfg.write(network))
    storage.write(posixpath.join(model_dir, MODEL), json.dumps(dataclasses.asdict(info), indent=1) + '\n')


def read_info(model_dir: str) -> ModelInfo:
    """Reads model.json; ValueError if there is none or it is not understood."""
    path = posixpath.join(model_dir, MODEL)
    if not storage.exists(path):
        raise ValueError(f'{model_dir!r} has no {MODEL}: no model was trained or converted there; check --model_dir')
    advice = 'restore it, or train or convert the model again'

    def check(info: ModelInfo) -> None:
        descriptions.check_names(info.classes, 'classes')

    return descriptions.read(path, ModelInfo, 'a description', advice, check)


def find_checkpoint(model_dir: str, which: str = '') -> str:
    """The path of a checkpoint; ValueError if there is none.

    which: 'best'; 'latest'; '' for the best if there is one, else the latest; or the path of one.
    """
    best = tf.train.latest_checkpoint(best_folder(model_dir))
    latest = tf.train.latest_checkpoint(latest_folder(model_dir))
    path = {'': best or latest, 'best': best, 'latest': latest}.get(which, which)
    if path is None or not storage.exists(path + '.index'):
        raise ValueError(
            f'no {which or "best or latest"} checkpoint in {model_dir!r}; train with this --model_dir '
            'first (a best one is only kept with --eval_split, or --monitor=loss)'
        )
    return path


def load_trained(model_dir: str, which: str = '') -> tuple[DarknetModel, ModelInfo, str]:
    """The trained model of a folder, its model.json, and the path of its checkpoint; which: as of `find_checkpoint`."""
    info, path = read_info(model_dir), find_checkpoint(model_dir, which)
    model = DarknetModel(cfg.read(posixpath.join(model_dir, NETWORK)))
    seen = new_seen()
    status = tf.train.Checkpoint(model=model, seen=seen).restore(path)
    status.assert_existing_objects_matched().expect_partial()
    model.seen = int(seen.numpy())
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise ValueError(f'{path}: {error}: its training diverged') from error
    return model, info, path


def new_seen(value: int = 0) -> tf.Variable:
    """Darknet's counter of images of the training, which every checkpoint holds beside the model."""
    return tf.Variable(value, trainable=False, name='seen', dtype=tf.int64)


def save_whole(folder: str, model: DarknetModel, number: int) -> None:
    """Saves a model without an optimizer, replacing the one in this folder; OSError if that fails."""
    checkpoint = tf.train.Checkpoint(model=model, seen=new_seen(model.seen))
    try:
        tf.train.CheckpointManager(checkpoint, folder, 1).save(checkpoint_number=number)
    except tf.errors.OpError as error:
        raise OSError(f'the model cannot be written to {folder}: {" ".join(error.message.split())}') from error


def checksum(path: str) -> str:
    """The SHA-256 of all that a checkpoint holds but its save counter: equal for equal states of a run."""
    reader, digest = tf.train.load_checkpoint(path), hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.startswith(('save_counter', '_CHECKPOINTABLE_OBJECT_GRAPH')):
            digest.update(name.encode() + reader.get_tensor(name).tobytes())
    return digest.hexdigest()


def initialize(model: DarknetModel, path: str) -> weights.Loaded:
    """Copies the weights of a trained model, convolution by convolution in order, where shapes are equal.

    path: a Darknet .weights file (or only its first layers: a backbone); the folder of a run or of a converted model;
    one of its checkpoints; or a .keras file. Its last convolution may be for other classes or anchors. ValueError for
    any other file, and if no convolution fits.
    """
    if storage.exists(path + '.index'):
        source = load_trained(posixpath.dirname(posixpath.dirname(path)), path)[0]
    elif storage.is_folder(path):
        source = load_trained(path)[0]
    elif path.endswith('.keras'):
        source = load_keras(path)
    else:
        source = None
    loaded = weights.copy(source, model) if source else weights.read(model, path, allow_different_head=True)
    if not loaded.loaded:
        raise ValueError(f'{path}: it has no convolution of the shape of the one at its place in this network')
    return loaded


def load_keras(path: str) -> DarknetModel:
    """The model in a .keras file; ValueError if it is not a DarknetModel."""
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path}: not a .keras file of a model ({error})') from error
    if not isinstance(model, DarknetModel):
        raise ValueError(f'{path} holds a {type(model).__name__}, not a model of this project')
    return model
