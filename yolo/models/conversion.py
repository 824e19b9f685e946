"""A trained model from one kind of file to another: Darknet's, a run's folder, a .keras file."""

import dataclasses

from yolo import lock, storage
from yolo.geometry.box_convention import choose
from yolo.models import checkpoint_files, model_folder, spec
from yolo.models import weights as weights_file
from yolo.models.build import DarknetModel
from yolo.models.darknet import load_whole, save_darknet
from yolo.models.model_folder import ModelInfo
from yolo.models.spec import Convolution, Network, Region


def read_model(
    cfg: str = '', weights: str = '', model_dir: str = '', keras: str = '', checkpoint: str = ''
) -> tuple[DarknetModel, ModelInfo]:
    """The model of a .cfg with .weights, of a folder, or of a .keras file, and its class names and resize, if known.

    checkpoint: of model_dir: best, latest, a path, or '' for the best if there is one. ValueError if not exactly one
    source is given, or it cannot be read. Where its boxes end is in `model.network`.
    """
    check_sources(cfg, weights, model_dir, keras)
    if model_dir:
        model, info, _ = model_folder.load_trained(model_dir, checkpoint)
        return model, info
    if keras:
        return model_folder.load_keras(keras), ModelInfo((), 'stretch')
    if not (cfg and weights):
        raise ValueError('--cfg and --weights go together')
    return load_whole(cfg, weights), ModelInfo((), 'stretch')


def set_box_convention(model: DarknetModel, box_convention: str | None, path: str) -> None:
    """Has the network of a model say where its boxes end, None for what it says itself. path: of the model.

    ValueError for one that has no boxes.
    """
    if not model.network.is_detector:
        if box_convention:
            raise ValueError(f'--box_convention={box_convention}: {path} is a classifier, without boxes')
        return
    chosen = choose(box_convention, model.network.box_convention, model.network.convention_doubt, path)
    model.network = dataclasses.replace(model.network, box_convention=chosen, convention_doubt='')


def check_sources(cfg: str, weights: str, model_dir: str, keras: str) -> None:
    """ValueError if not exactly one model is given to be read."""
    if sum(map(bool, (cfg or weights, model_dir, keras))) != 1:
        raise ValueError('give one of --cfg and --weights, --model_dir, or --keras')


def check_classes(model: DarknetModel, classes: tuple[str, ...]) -> None:
    """ValueError if a detector has another number of classes than there are names."""
    last = model.network.sections[-1]
    if classes and isinstance(last, Region) and len(classes) != last.classes:
        raise ValueError(
            f'--labels={",".join(classes)}: {len(classes)} names, but the network has {last.classes} classes'
        )


def check_names(cfg: str, weights: str, keras: str, num_convolutions: int | None) -> None:
    """ValueError if the files to write do not go together, or their names say another kind of file."""
    if bool(cfg) != bool(weights):
        raise ValueError('--cfg_out and --weights_out go together')
    if num_convolutions is not None and not weights:
        raise ValueError(f'--num_convolutions={num_convolutions} goes with --cfg_out and --weights_out')
    if keras and not keras.endswith('.keras'):
        raise ValueError(f'--keras_out={keras}: the name has to end in .keras')


def check_room(model: DarknetModel, num_convolutions: int | None, model_dir: str) -> None:
    """ValueError if a model has not so many convolutions to write, or a folder to write to has a model already."""
    try:
        weights_file.check_count(model, num_convolutions)
    except ValueError as error:
        raise ValueError(f'--num_convolutions={num_convolutions}: {error}') from error
    for folder in (model_folder.latest_folder(model_dir), model_folder.best_folder(model_dir)) if model_dir else ():
        names = checkpoint_files.list_names(folder)  # of whole and of damaged ones
        if names.pairs or names.lone or checkpoint_files.was_saved(folder):
            raise ValueError(f'--model_dir_out={model_dir}: a model is there already; give another folder')


def write_darknet(model: DarknetModel, cfg: str, weights: str, num_convolutions: int | None) -> list[str]:
    """Writes .cfg and .weights if they are given; returns the paths. ValueError for one without the other."""
    check_names(cfg, weights, '', num_convolutions)
    if not cfg:
        return []
    save_darknet(model, cfg, weights, num_convolutions)
    return [cfg, weights]


def write_keras(model: DarknetModel, path: str) -> list[str]:
    """Writes a .keras file, atomically, if its path is given; returns it. OSError if that fails."""
    if not path:
        return []
    with storage.local_writer(path, '.keras') as partial:
        model.save(partial)
    return [path]


def write_folder(model: DarknetModel, info: ModelInfo, model_dir: str) -> list[str]:
    """Writes a model's folder if it is given; returns its path.

    ValueError if there is a model already, OSError if another command writes to the folder.
    """
    if not model_dir:
        return []
    with lock.hold(model_dir, 'yolo convert', '--model_dir_out'):
        check_room(model, None, model_dir)
        model.check_finite()
        model_folder.write_model(model_dir, model.network, info)
        model_folder.save_whole(model_folder.latest_folder(model_dir), model, 0)
    return [model_dir]


def format_layers(built: Network) -> str:
    """A table of the layers: what each is, its output for an image of the network's size, its parameters."""
    numbers = spec.num_weights(built)
    rows = [('', 'layer', 'output', 'parameters')]
    for index, (section, shape) in enumerate(zip(built.sections, spec.shapes(built), strict=True)):
        rows.append((str(index), _layer_name(section), ' x '.join(map(str, shape)), f'{numbers[index]:,}'))
    rows.append(('', 'all', '', f'{sum(numbers):,}'))
    return '\n'.join(f'{index:>3}  {layer:<32}  {output:>16}  {number:>12}' for index, layer, output, number in rows)


def _layer_name(section: spec.Section) -> str:
    if isinstance(section, Convolution):
        stride = f'/{section.stride}' if section.stride > 1 else ''
        return f'convolution {section.size} x {section.size}{stride} {section.activation}' + (
            ' norm' if section.norm else ''
        )
    if isinstance(section, spec.MaxPool):
        return f'max pool {section.size} x {section.size}/{section.stride}'
    if isinstance(section, spec.Route):
        return f'route {", ".join(map(str, section.layers))}'
    if isinstance(section, Region):
        return f'region, {len(section.anchors)} anchors, {section.classes} classes'
    return {'AveragePool': 'average pool'}.get(type(section).__name__, type(section).__name__.lower())
