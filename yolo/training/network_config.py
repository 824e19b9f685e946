"""The first settings of a training run: its data, its folder and its network; `yolo.training.config` has the others."""

import dataclasses

from yolo import recipes
from yolo.geometry.letterbox import COLOUR
from yolo.settings import counted, recorded, setting

RUN, NETWORK = 'The run', 'Network'


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Data and network of a run. `classes`, `anchors` and the like are those of the records, for use without them."""

    data_dir: str = setting(None, 'Folder of records.', group=RUN, required=True, may_change=True)
    train_split: str = setting('trainval', 'Split to train on.', group=RUN)
    folds: int = setting(
        1,
        'Parts of the split, of which --fold is left out of the training: eval.py --held_out evaluates on it. 1: all '
        'images are trained on.',
        group=RUN,
        low=1,
        high=1000,
    )
    fold: int = setting(0, 'The part that is left out, the first one is 0.', group=RUN, low=0, high=999)
    eval_split: str = setting(
        '', 'Split whose mAP decides which checkpoint is the best.', group=RUN, unset='none', may_change=True
    )
    model_dir: str = setting(
        None,
        'Folder of the run: config.json, checkpoints, best, tensorboard, run.json.',
        group=RUN,
        required=True,
        may_change=True,
    )
    recipe: str = setting(
        'yolov2-voc',
        "Values for all settings that say how to train. yolov2-voc: the paper's; notebook: the Keras notebook's; "
        'finetune: for a few hundred images and --init_weights; small-data: for a few hundred images from random '
        'weights; modern: for these too, with what later detectors learn by; auto: chooses one of modern and '
        'yolov2-voc, network, batch and steps by the records and the devices, and says why. A flag overrides the value '
        'of its setting.',
        group=RUN,
        choices=recipes.NAMES,
        may_change=True,
    )
    # what --recipe=auto is built on
    base_recipe: str = recorded('', choices=('', *recipes.NAMES), may_change=True)
    classes: tuple[str, ...] = recorded(())
    anchors: tuple[tuple[float, float], ...] = recorded(())  # w, h in grid cells
    image_size: tuple[int, int] = recorded((0, 0))  # height, width of the network's images in pixels
    stored_size: tuple[int, ...] = recorded(())  # of the images to train on, where it is another one
    resize: str = recorded('stretch')  # how the records' images were resized; prediction does the same
    channels: int = recorded(COLOUR)  # of the records' images: 1 for grey ones
    grey_range: tuple[int, ...] = recorded(())  # of 16 bits, what became 0 and 255; prediction does the same
    data_checksum: str = recorded('')

    model: str = setting('yolov2', 'yolov2, yolov2-tiny, or the path of a Darknet .cfg.', group=NETWORK)
    width: float = setting(1.0, 'Factor on the filters of every layer but the last.', group=NETWORK, low=0.01, high=100)
    init_weights: str = setting(
        '',
        'Where the first weights come from, as far as their shapes fit: a Darknet .weights file (or only its first '
        "layers: a backbone), a run's folder or checkpoint, or a .keras file.",
        group=NETWORK,
        unset='random weights',
    )
    freeze: int = setting(
        0, 'Convolutions from the start that are not trained: a number, or backbone.', group=NETWORK, given_as=str
    )
    unfreeze_at: int = counted(
        None, 'Step from which on frozen convolutions are trained too.', group=NETWORK, unset='never'
    )
