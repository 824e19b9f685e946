"""The folder of a model: its network and classes, the newest checkpoints with all that training needs, and the best.

| file | what |
| --- | --- |
| spec.cfg | the network as Darknet spells it: layers, anchors, image size |
| model.json | names of the classes; how images are brought to the network's size |
| config.json | the settings of the run; missing in a converted model |
| checkpoints, best | weights and images seen; the former with the state of the optimizer |
"""

import dataclasses
import hashlib
import json
import posixpath
import zipfile

import keras
import tensorflow as tf

from yolo import storage
from yolo.geometry.letterbox import RESIZES
from yolo.models import cfg, weights
from yolo.models.build import DarknetModel
from yolo.models.spec import Network

NETWORK, MODEL = 'network.cfg', 'model.json'


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What a model's weights do not tell. classes: their names, empty if unknown; resize: one of letterbox.RESIZES."""

    classes: tuple[str, ...]
    resize: str


def best_folder(model_dir: str) -> str:
    """Where the model with the best mAP is kept."""
    return posixpath.join(model_dir, 'best')


def latest_folder(model_dir: str) -> str:
    """Where the newest checkpoints are kept."""
    return posixpath.join(model_dir, 'checkpoints')


def write_model(model_dir: str, model_network: Network, info: ModelInfo, begun: bool) -> None:
    """Writes spec.cfg and model.json; ValueError if there are (begun) weights of another network there."""
    path = posixpath.join(model_dir, NETWORK)
    if begun and cfg.read(path) != model_network:
        raise ValueError(f'{path} is another network than the one that is asked for; use another --model_dir')
    storage.make_folder(model_dir)
    storage.write(path, cfg.write(model_network))
    storage.write(posixpath.join(model_dir, MODEL), json.dumps(dataclasses.asdict(info), indent=1) + '\n')


def read_info(model_dir: str) -> ModelInfo:
    """Reads model.json; ValueError if there is none or it is not understood."""
    path = posixpath.join(model_dir, MODEL)
    if not storage.exists(path):
        raise ValueError(f'{model_dir!r} has no {MODEL}: no model was trained or converted there; check --model_dir')
    try:
        fields = json.loads(storage.read(path))
        info = ModelInfo(tuple(fields['classes']), fields['resize'])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path}: not a description that this version reads ({error})') from error
    if info.resize not in RESIZES:
        raise ValueError(f'{path}: unknown resize {info.resize!r}')
    return info


def find(model_dir: str, which: str = '') -> str:
    """The path of a checkpoint: 'best', 'latest', a path of its own, or '' for the best if there is one, else latest.

    ValueError if there is none.
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
    """The trained model of a folder, what else is known of it, and the path of the checkpoint, chosen as by `find`."""
    info, path = read_info(model_dir), find(model_dir, which)
    model = DarknetModel(cfg.read(posixpath.join(model_dir, NETWORK)))
    seen = new_seen()
    status = tf.train.Checkpoint(model=model, seen=seen).restore(path)
    status.assert_existing_objects_matched().expect_partial()
    model.seen = int(seen.numpy())
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise ValueError(f'{path}: {error}: its training went astray') from error
    return model, info, path


def new_seen(value: int = 0) -> tf.Variable:
    """The images of training, as every checkpoint holds them beside the model."""
    return tf.Variable(value, trainable=False, name='seen', dtype=tf.int64)


def save_whole(folder: str, model: DarknetModel, number: int) -> None:
    """Saves a model without the state of its training, in place of the one in this folder; OSError if that fails."""
    checkpoint = tf.train.Checkpoint(model=model, seen=new_seen(model.seen))
    try:
        tf.train.CheckpointManager(checkpoint, folder, 1).save(checkpoint_number=number)
    except tf.errors.OpError as error:
        raise OSError(f'the model cannot be written to {folder}: {" ".join(error.message.split())}') from error


def checksum(path: str) -> str:
    """The SHA-256 of all that a checkpoint holds, but for how often it was saved; equal for equal states of a run."""
    reader, found = tf.train.load_checkpoint(path), hashlib.sha256()
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.startswith(('save_counter', '_CHECKPOINTABLE_OBJECT_GRAPH')):
            found.update(name.encode() + reader.get_tensor(name).tobytes())
    return found.hexdigest()


def initialize(model: DarknetModel, path: str) -> weights.Loaded:
    """Takes over what fits, convolution by convolution in order, from a trained model; the rest stays as it is.

    path: a .weights file of Darknet's, whole or of a backbone; the folder of a run or of a converted model; one of its
    checkpoints; or a .keras file. The last convolution may be of other classes or anchors. ValueError for what is none
    of these or does not fit.
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
    """A model of a .keras file; ValueError if that is not one of this project's."""
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f'{path}: not a .keras file of a model ({error})') from error
    if not isinstance(model, DarknetModel):
        raise ValueError(f'{path} holds a {type(model).__name__}, not a model of this project')
    return model
