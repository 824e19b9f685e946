"""The settings of a training run: each a field with its default, bounds and help.

Defaults are the recipe yolov2-voc. None stands for a value that follows from the data or from other settings:
`yolo.training.resolve` fills it in before the run begins.
"""

import dataclasses

from yolo import settings
from yolo.geometry.letterbox import MOST_SIDE
from yolo.recipes import MULTI_SCALE
from yolo.settings import MOST_SEED, counted, recorded, setting
from yolo.training.network_config import NetworkConfig

LOSSES = REGION, NOTEBOOK, CIOU = ('region', 'notebook', 'ciou')
SAMPLINGS = UNIFORM, BALANCED = ('uniform', 'balanced')
CLASS_WEIGHTS = ('none', BALANCED)
OPTIMIZERS = ('sgd', 'adam')
SCHEDULES = ('steps', 'cosine', 'notebook', 'constant')
STRATEGIES = ('auto', 'one_device', 'mirrored', 'multi_worker_mirrored', 'tpu')
JOIN_TIMEOUT = 10.0  # minutes to wait for the other processes of a run
BATCH_NORMS = SYNCHRONIZED, LOCAL = ('synchronized', 'local')
JITTER_AROUND = STORED, PHOTO = ('stored', 'photo')
PRECISIONS = ('float32', 'mixed_float16', 'mixed_bfloat16')

LEARNING, AUGMENTATION = 'How it learns', 'Augmentation'
BEST, LOOP = 'Best weights and early ends', 'Progress, checkpoints and devices'


@dataclasses.dataclass(frozen=True)
class TrainConfig(NetworkConfig):
    """One training run."""

    loss: str = setting(
        REGION,
        "region: Darknet's; notebook: that of the Keras notebook; ciou: as Darknet's, but boxes learn by their overlap "
        '(CIoU), and every anchor that fits an object learns from it.',
        group=LEARNING,
        choices=LOSSES,
    )
    sampling: str = setting(
        UNIFORM,
        'uniform: each image once an epoch; balanced: those of rare classes more often, by the repeat factors of LVIS.',
        group=LEARNING,
        choices=SAMPLINGS,
    )
    sampling_threshold: float = setting(
        None,
        'For --sampling=balanced: a class is rare if a smaller share of the images has it than this; its images come '
        'sqrt(threshold / share) times as often.',
        group=LEARNING,
        above=0,
        high=1,
        unset='the mean share of the classes',
    )
    class_weights: str = setting(
        'none',
        'balanced: the class loss of an object is weighted by 1 / sqrt(objects of its class in the split), scaled so '
        'that the mean over the objects is 1. Measure it on your data: with small batches it can harm all classes.',
        group=LEARNING,
        choices=CLASS_WEIGHTS,
    )
    class_loss_weights: tuple[float, ...] = recorded(())  # of each class; () for none
    batch_size: int = setting(64, 'Images a step, over all replicas.', group=LEARNING, low=1, high=1 << 16)
    subdivisions: int = setting(
        1,
        'Parts in which the gradient of a batch is computed, one after another, so that it needs less memory. Batch '
        "norm is over a part, as in Darknet's.",
        group=LEARNING,
        low=1,
        high=1 << 16,
        may_change=True,  # as far as images_normalised stays
    )
    batch_norm: str = setting(
        SYNCHRONIZED,
        'synchronized: over the images of all replicas, so that any number of them takes the same steps; local: over '
        "each replica's own, as Darknet's, which XLA can compile.",
        group=LEARNING,
        choices=BATCH_NORMS,
        may_change=True,  # as far as images_normalised stays
    )
    images_normalised: int = recorded(0, low=0)  # by batch norm together; 0: all of a batch, as in runs of old
    replicas: int = recorded(0, low=0, may_change=True)  # devices of all processes; 0 where it was not recorded
    num_steps: int = counted(
        80200,
        'Steps to train. A run goes on to more, where --lr_schedule does not depend on them.',
        group=LEARNING,
        low=1,
    )
    epochs: float = setting(
        None, 'Passes over the split, in place of --num_steps.', group=LEARNING, above=0, high=10**6, may_change=True
    )
    optimizer: str = setting('sgd', "sgd has Darknet's momentum.", group=LEARNING, choices=OPTIMIZERS)
    learning_rate: float = setting(1e-3, 'Highest learning rate.', group=LEARNING, low=0, high=1000)
    lr_schedule: str = setting(
        'steps',
        'steps: the rate is multiplied by 0.1 at each of --decay_steps; cosine: it falls to 0 at the end; notebook: it '
        'is multiplied by 0.1 at epochs 75 and 105; constant. All are multiplied by the burn-in.',
        group=LEARNING,
        choices=SCHEDULES,
    )
    decay_steps: tuple[int, ...] = counted(
        None,
        'Steps at which --lr_schedule=steps multiplies the rate by 0.1.',
        group=LEARNING,
        unset="50 % and 75 % of all steps, the paper's 40000,60000 of 80200",
    )
    burn_in: int = counted(
        None,
        'Steps over which the rate rises as (step / burn_in)^4.',
        group=LEARNING,
        unset='1000, or a tenth of the steps if they are fewer than 10000',
    )
    momentum: float = setting(0.9, 'Momentum of sgd.', group=LEARNING, low=0, below=1)
    weight_decay: float = setting(5e-4, 'L2 penalty on kernels, added to the gradient.', group=LEARNING, low=0, high=1)
    multi_scale: bool = setting(
        MULTI_SCALE, 'Train at another image size every 10 steps.', group=LEARNING, may_change=True
    )
    sizes: tuple[tuple[int, int], ...] = setting(  # resolved: every height, width in training
        None,
        'Smallest and largest of these sizes: multiples of 32, of the longer side.',
        group=LEARNING,
        given_as=tuple[int, int],
        low=32,
        high=MOST_SIDE,
        count=2,
        ascending=True,
        unset='10/13 to 19/13 of the size of the network, which is 320,608 for 416',
    )
    ema: float = setting(
        0.0,
        'Use an exponential moving average of the weights with this decay, as 0.999; 0 for the weights themselves.',
        group=LEARNING,
        low=0,
        below=1,
    )

    augment: bool = setting(True, 'Flip, scale, shift, jitter and recolour the training images.', group=AUGMENTATION)
    flip: float = setting(
        0.5,
        'Share of the images that are flipped left to right; 0 for none, where a mirrored object would be another '
        'one: text, number plates, arrows.',
        group=AUGMENTATION,
        low=0,
        high=1,
    )
    jitter: float = setting(0.3, 'Largest relative change of width and height.', group=AUGMENTATION, low=0, high=0.9)
    jitter_around: str = setting(
        STORED,
        'The shape that --jitter changes: that of the stored image, as images are tested; or that of the photo, with '
        'grey bars beside it, as Darknet trains (where the network is square).',
        group=AUGMENTATION,
        choices=JITTER_AROUND,
    )
    scale: tuple[float, float] = setting(
        (1.0, 1.0),
        'Smallest and largest scale of the image on its canvas, as 0.8,1.25.',
        group=AUGMENTATION,
        low=0.01,
        high=100,
        count=2,
        ascending=True,
    )
    hue: float = setting(
        0.1, 'Largest shift of the hue, as a share of the colour circle.', group=AUGMENTATION, low=0, high=0.5
    )
    saturation: float = setting(1.5, 'Largest factor on the saturation.', group=AUGMENTATION, low=1, high=100)
    exposure: float = setting(1.5, 'Largest factor on the brightness.', group=AUGMENTATION, low=1, high=100)
    mosaic: float = setting(
        0.0, 'Share of the images that are put together from four.', group=AUGMENTATION, low=0, high=1
    )
    copy_paste: int = setting(
        0,
        'How many objects of other images are pasted into each image, where no object is; small ones and those of rare '
        'classes come more often.',
        group=AUGMENTATION,
        low=0,
        high=16,
    )

    monitor: str = setting(
        'map',
        'What decides which weights are the best, every --eval_every steps: the mAP on --eval_split, or the mean '
        'training loss since the last evaluation.',
        group=BEST,
        choices=('map', 'loss'),
    )
    eval_every: int = counted(
        1000, 'Steps between evaluations; 0 for a single one, at the end.', group=BEST, may_change=True
    )
    early_stopping: int = counted(
        0, 'End after this many evaluations without improvement; 0 for never.', group=BEST, may_change=True
    )
    plateau: int = counted(
        0,
        'Multiply the rate by --plateau_factor after this many evaluations without improvement; 0 for never.',
        group=BEST,
    )
    plateau_factor: float = setting(
        0.1, 'Factor on the rate at a plateau, see --plateau.', group=BEST, above=0, below=1
    )
    max_hours: float = setting(
        0.0, 'Save and end after this many hours; 0 for no limit.', group=BEST, low=0, high=10**6, may_change=True
    )

    shuffle_mb: int = setting(2048, 'Memory for shuffling the records, in MB.', group=LOOP, low=16, high=10**7)
    seed: int = setting(0, 'Seed of weights, order and augmentation.', group=LOOP, low=0, high=MOST_SEED)
    checkpoint_every: int = counted(1000, 'Steps between checkpoints.', group=LOOP, low=1, may_change=True)
    keep: int = counted(3, 'How many of the newest checkpoints to keep.', group=LOOP, low=1, may_change=True)
    log_every: int = counted(20, 'Steps between progress lines.', group=LOOP, low=1, may_change=True)
    pictures_every: int = counted(
        0,
        'Steps between pictures with predictions in TensorBoard, beside those of every evaluation; 0 for none.',
        group=LOOP,
        may_change=True,
    )
    profile_steps: tuple[int, ...] = counted(
        (),
        "First and last step of a profile for TensorBoard's profiler, as 20,25.",
        group=LOOP,
        count=2,
        ascending=True,
        unset='none',
        may_change=True,
    )
    precision: str = setting(
        'float32', 'What the network computes in; mixed_float16 scales the loss.', group=LOOP, choices=PRECISIONS
    )
    jit_compile: bool = setting(
        None,
        'Compile the step with XLA.',
        group=LOOP,
        unset='yes on one CPU or GPU, and on several with --batch_norm=local',
        may_change=True,
    )
    deterministic: bool = setting(
        False,
        'Use only TensorFlow operations that give the same bits on every run, which is slower. On one CPU, steps that '
        'are compiled with XLA give the same bits anyway; others do with the environment variable '
        'TF_NUM_INTRAOP_THREADS=1.',
        group=LOOP,
    )
    steps_per_loop: int = counted(1, 'Most steps that one call of the graph takes.', group=LOOP, low=1, may_change=True)

    def __post_init__(self) -> None:
        settings.check(self)
