"""The folder of a model: its network and classes, the newest checkpoints with all that training needs, and the best.

| file | what |
| --- | --- |
| network.cfg | the network as a Darknet .cfg: layers, anchors, image size; where its boxes end |
| model.json | names of the classes; how images are resized to the network's size |
| config.json | the settings of the run; a converted model has none |
| checkpoints | weights, `seen` (images of the training) and the state of the optimizer |
| best | weights and `seen` |
"""

import dataclasses
import hashlib
import json
import posixpath
import re
import zipfile

import keras
import tensorflow as tf
from absl import logging

from yolo import descriptions, storage
from yolo.data import grey
from yolo.geometry.box_convention import VOC
from yolo.geometry.letterbox import RESIZES
from yolo.models import cfg, checkpoint_files, weights
from yolo.models.build import DarknetModel
from yolo.models.spec import Network
from yolo.settings import recorded

NETWORK, MODEL, CONFIG = 'network.cfg', 'model.json', 'config.json'
CHECKPOINT = re.compile(r'ckpt-[0-9]+')


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """What is in model.json. classes: their names, empty if unknown; resize: one of letterbox.RESIZES.

    grey_range: the values of images of 16 bits that become 0 and 255, () if the upper 8 bits are taken.
    """

    classes: tuple[str, ...]
    resize: str = recorded(choices=RESIZES)
    grey_range: tuple[int, ...] = recorded((), low=0, high=grey.MOST_VALUE)


def best_folder(model_dir: str) -> str:
    """The folder of the weights with the best mAP (or loss)."""
    return posixpath.join(model_dir, 'best')


def latest_folder(model_dir: str) -> str:
    """The folder of the newest checkpoints."""
    return posixpath.join(model_dir, 'checkpoints')


def check_network(model_dir: str, network: Network) -> None:
    """ValueError if the weights in a folder belong to another network."""
    path = posixpath.join(model_dir, NETWORK)
    if cfg.read(path) != network:
        raise ValueError(f'{path} is another network than the one that is asked for; use another --model_dir')


def write_model(model_dir: str, network: Network, info: ModelInfo) -> None:
    """Writes network.cfg and model.json."""
    storage.make_folder(model_dir)
    storage.write(posixpath.join(model_dir, NETWORK), cfg.write(network))
    storage.write(posixpath.join(model_dir, MODEL), json.dumps(dataclasses.asdict(info), indent=1) + '\n')


def read_info(model_dir: str) -> ModelInfo:
    """Reads model.json; ValueError if there is none or it is not understood."""
    path = posixpath.join(model_dir, MODEL)
    if not storage.exists(path):
        raise ValueError(f'{model_dir!r} has no {MODEL}: no model was trained or converted there; check --model_dir')
    advice = 'restore it, or train or convert the model again'

    def check(info: ModelInfo) -> None:
        descriptions.check_names(info.classes, 'classes')
        grey.check_range(info.grey_range)

    return descriptions.read(path, ModelInfo, 'a description', advice, check)


def find_checkpoint(model_dir: str, which: str = '') -> str:
    """The path of a checkpoint that reads whole; ValueError, naming those that are damaged, if there is none.

    which: 'best'; 'latest'; '' for the best if there is one, else the latest; or the path of one. The newest whole one
    of a folder is taken; a warning names newer ones that are damaged, or are being written just now.
    """
    if which not in ('', 'best', 'latest'):
        _check_whole(which)
        return which
    folders = {'best': best_folder(model_dir), 'latest': latest_folder(model_dir)}
    damaged: list[str] = []
    for name in (which,) if which else tuple(folders):
        found = checkpoint_files.read(folders[name], newest_only=True)
        if found.damaged:
            damaged.append(found.describe_damage())
        if found.newest:
            if damaged:
                logging.warning('damaged: %s; %s is used instead', '; '.join(damaged), found.newest)
            return found.newest
    if damaged:
        other = {'best': 'latest', 'latest': 'best'}.get(which)
        way_out = f'; try --checkpoint={other}' if other else ''
        raise ValueError(f'no {which or "best or latest"} checkpoint is whole: {"; ".join(damaged)}{way_out}')
    raise ValueError(
        f'no {which or "best or latest"} checkpoint in {model_dir!r}; train with this --model_dir '
        'first (a best one is only kept with --eval_split, or --monitor=loss)'
    )


def _check_whole(path: str) -> None:
    damage = checkpoint_files.find_damage(path)
    if damage is None:
        raise ValueError(f'{path}: no checkpoint is there; give best, latest, or a path as .../checkpoints/ckpt-100')
    if damage:
        raise ValueError(f'{path} is damaged ({damage}); give another one, or best or latest')


def load_trained(model_dir: str, which: str = '') -> tuple[DarknetModel, ModelInfo, str]:
    """The trained model of a folder, its model.json, and the path of its checkpoint; which: as of `find_checkpoint`."""
    info, path = read_info(model_dir), find_checkpoint(model_dir, which)
    network = cfg.read(posixpath.join(model_dir, NETWORK), VOC)
    if storage.exists(posixpath.join(model_dir, CONFIG)):  # of a run: its weights were trained here, whoever made it
        network = dataclasses.replace(network, convention_doubt='')
    model = DarknetModel(network)
    while not _restore(model, path, posixpath.join(model_dir, NETWORK)):
        path = find_checkpoint(model_dir, which)  # the run went on meanwhile and removed that one
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise ValueError(f'{path}: {error}: its training diverged') from error
    return model, info, path


def _restore(model: DarknetModel, path: str, network: str) -> bool:
    """Reads weights and `seen`; False if the checkpoint is gone; ValueError if it is one of another network."""
    seen = new_seen()
    try:
        fits = checkpoint_files.restore(tf.train.Checkpoint(model=model, seen=seen), path)
    except (tf.errors.OpError, IndexError):
        damage = checkpoint_files.find_damage(path)
        if damage is None:
            return False
        if damage:
            raise ValueError(f'{path} is damaged ({damage})') from None
        raise
    if not fits:
        raise ValueError(
            f'{path} does not fit {network}: its weights are those of another network; put back the network.cfg '
            'with which it was trained'
        )
    model.seen = int(seen.numpy())
    return True


def new_seen(value: int = 0) -> tf.Variable:
    """Darknet's counter of images of the training, which every checkpoint holds beside the model."""
    return tf.Variable(value, trainable=False, name='seen', dtype=tf.int64)


def save_whole(folder: str, model: DarknetModel, number: int) -> None:
    """Saves a model without an optimizer, replacing the one in this folder.

    OSError if that fails; FloatingPointError, with nothing written, if a weight is not finite.
    """
    found = checkpoint_files.read(folder)
    try:
        model.check_finite()
    except FloatingPointError as error:
        raise FloatingPointError(
            f'{error}: nothing is saved in {folder}; the last good one there is {found.newest or "none yet"}'
        ) from error
    checkpoint_files.write_hint(folder, found.whole)
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
    one of its checkpoints; or a .keras file. Its last convolution may be for other classes or anchors, and its first
    one for images of other channels. ValueError for any other file, and if no convolution fits.
    """
    if storage.exists(path + '.index') or (CHECKPOINT.fullmatch(posixpath.basename(path)) and not storage.exists(path)):
        source = load_trained(posixpath.dirname(posixpath.dirname(path)), path)[0]
    elif storage.is_folder(path):
        source = load_trained(path)[0]
    elif path.endswith('.keras'):
        source = load_keras(path)
    else:
        source = None
    loaded = weights.copy(source, model) if source else weights.read_of_any_channels(model, path)
    if not loaded.loaded:
        raise ValueError(f'{path}: it has no convolution of the shape of the one at its place in this network')
    return loaded


def load_keras(path: str) -> DarknetModel:
    """The model in a .keras file; ValueError if it is not a DarknetModel, or a checksum in it fails."""
    try:
        with storage.reader(path) as file, zipfile.ZipFile(file) as parts:
            damaged = parts.testzip()
        if damaged:
            raise ValueError(f'the checksum of {damaged} fails')
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # what Keras and HDF5 raise for a damaged file can be of any class
        raise ValueError(f'{path}: not a .keras file of a model ({error})') from error
    if not isinstance(model, DarknetModel):
        raise ValueError(f'{path} holds a {type(model).__name__}, not a model of this project')
    return model
