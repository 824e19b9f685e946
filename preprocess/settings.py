"""The settings of a conversion, each with its default, bounds and help in one place."""

import dataclasses
import os

from preprocess.label_rules import LabelRules
from preprocess.store_size import recipe_setting, store_size_setting
from yolo import settings
from yolo.data import grey
from yolo.data.image_settings import damaged_setting, grey_range_setting, max_pixels_setting
from yolo.data.images import FORMATS
from yolo.data.voc_folder import UNLABELLED, Source
from yolo.geometry.image_sizes import of_longer_side
from yolo.geometry.letterbox import COLOUR, GREY, RESIZES
from yolo.settings import recorded, setting

IMAGES_PER_SHARD = 512
MOST_SHARDS = 99_999  # names of shards have five digits
MOST_LEAK_DISTANCE = 11
MOST_WORKERS = max(1024, os.cpu_count() or 1)
VOC, XML, COCO, YOLO = FORMATS_OF_FOLDERS = ('voc', 'xml', 'coco', 'yolo')
LEAKS = WARN, FAIL, DROP, OFF = ('warn', 'fail', 'drop', 'off')
NAMED_ANCHORS = ('voc', 'tiny-voc', 'notebook')
SOURCE, RECORDS, WORK = 'Where the data comes from', 'What the records hold', 'How it is done'
LARGER = 'Larger images for training at several sizes'


@dataclasses.dataclass(frozen=True)
class Settings:
    """A conversion. source: its folders; splits: name -> path of its list, or the ids; image_size: height, width.

    notes: split, and what the source has to say about it, for the report.
    The manifest records all but those with may_change; records made with other recorded settings are refused.
    """

    source: Source = recorded()
    splits: dict[str, str | tuple[str, ...]] = recorded()
    out_dir: str = setting(None, 'Folder for the records.', group=RECORDS, required=True, may_change=True)
    labels: tuple[str, ...] | None = setting(
        None,
        'Names of the classes: a comma list, a file with one a line, or voc.',
        group=RECORDS,
        given_as=str,
        unset='all names in the annotations, sorted',
    )
    image_size: tuple[int, int] = setting(
        (416, 416),
        'Pixels of the images that the network sees, and of the stored ones: a number or WIDTHxHEIGHT, multiples of '
        '32.',
        group=RECORDS,
        given_as=str,
        shown='416',
    )
    resize: str = setting(
        'stretch',
        "How images come to that size: stretched, as for the paper's numbers, or whole with grey bars, as today's "
        'Darknet does.',
        group=RECORDS,
        choices=RESIZES,
    )
    anchors: str = setting(
        'kmeans:5',
        f'kmeans:K fits K anchors to the boxes of the first split; or {", ".join(NAMED_ANCHORS)}; or a list w,h, w,h, '
        '... in grid cells of 32 pixels.',
        group=RECORDS,
    )
    image_format: str = setting(
        'jpeg',
        'How images are stored: jpeg is small; png is exact; raw needs no decoding and is the largest.',
        group=RECORDS,
        choices=FORMATS,
    )
    jpeg_quality: int = setting(95, 'Quality of stored JPEGs.', group=RECORDS, low=1, high=100)
    strict: bool = setting(False, 'Leave out an image of which something would otherwise be repaired.', group=RECORDS)
    num_shards: int = setting(
        0, f'Files a split; 0 for one file per {IMAGES_PER_SHARD} images.', group=WORK, low=0, high=MOST_SHARDS
    )
    workers: int = setting(os.cpu_count() or 1, 'Processes.', group=WORK, low=1, high=MOST_WORKERS, may_change=True)
    damaged: str = damaged_setting(group=RECORDS)
    max_pixels: int = max_pixels_setting(group=RECORDS)
    label_map: tuple[tuple[str, str], ...] | None = setting(
        None,
        'Other names for those in the annotations, before --labels is looked at: old=new,... or a file with old=new a '
        'line. Several may become one class; old= (nothing) drops its objects. Each name is looked up once: a=b,b=c '
        'makes a b, not c. Names with , or = need the file, with a tab in place of the =.',
        group=RECORDS,
        given_as=str,
        unset='none',
    )
    leaks: str = setting(
        WARN,
        'Images that are the same or nearly so, also mirrored or slightly cropped, are counted. If they are in two '
        'splits: warn of them, fail before anything is written, or drop them from the split that comes first. off: do '
        'not look for them.',
        group=RECORDS,
        choices=LEAKS,
    )
    leak_distance: int = setting(
        7,
        'How different such images may look: bits of 64 in which their perceptual hashes may differ. 0: equal hashes. '
        'Smaller for a fixed camera, whose pictures are all alike.',
        group=RECORDS,
        low=0,
        high=MOST_LEAK_DISTANCE,
    )
    channels: int = setting(
        COLOUR,
        'Channels of the stored images, and of the network that is trained on them: 3 for colour; 1 for grey, as of '
        'thermal, X-ray and microscope images: a third of the pixels.',
        group=RECORDS,
        low=GREY,
        high=COLOUR,
    )
    ignore_labels: tuple[str, ...] | None = setting(
        None,
        'Names, as --label_map leaves them, that are no classes: what is detected in their boxes is neither right nor '
        'wrong, in training and evaluation, whatever its class. A comma list, or a file with one a line. (Crowds of '
        'COCO are such regions without it, for their own class.)',
        group=RECORDS,
        given_as=str,
        unset='none',
    )
    grey_range: tuple[int, ...] = grey_range_setting(
        'Of images of 16 bits with --channels=1: the values that become 0 and 255, as 7000,9000. Prediction then does '
        'the same with files of 16 bits.',
        group=RECORDS,
        unset='the upper 8 of the 16 bits are taken, and faint contrast is lost',
    )
    make_splits: tuple[str, ...] = setting(
        (),
        'Give out the images of all lists and folders anew, as train=0.8,val=0.1,test=0.1: near-duplicates and groups '
        'on one side, each class in these shares. The lists are written to the folder splits in --out_dir, and '
        'later runs keep them.',
        group=SOURCE,
        unset='the splits that are there',
    )
    group_by: str = setting(
        '',
        'Regular expression on image ids for --make_splits: images of which its first group, or all that it matches, '
        'is the same stay together, as the frames of a video: ^(.*)_frame.',
        group=SOURCE,
        unset='none',
    )
    seed: int = setting(0, 'Seed of --make_splits.', group=SOURCE, low=0, high=settings.MOST_SEED)
    store_size: int | None = store_size_setting(group=LARGER)
    notes: tuple[tuple[str, str], ...] = recorded((), may_change=True)

    def __post_init__(self) -> None:
        settings.check(self)
        grey.check(self.channels, self.grey_range, '--')
        of_longer_side(self.image_size, self.store_size)  # ValueError for a smaller one
        both = sorted(set(self.labels or ()) & set(self.ignore_labels or ()))
        if both:
            raise ValueError(f'--ignore_labels: {both[0]!r} is among the labels too; it is a class or it is ignored')

    @property
    def first_size(self) -> tuple[int, int]:
        """Height, width of the stored images of the first split; those of any other one have image_size."""
        return of_longer_side(self.image_size, self.store_size)

    @property
    def label_rules(self) -> LabelRules:
        """What becomes of the names in annotations."""
        return LabelRules(dict(self.label_map or ()), frozenset(self.ignore_labels or ()))


@dataclasses.dataclass(frozen=True)
class Request:
    """What the command is asked beside the settings of the records: where the data is and what may happen."""

    images_dir: str = setting(
        '',
        'Folder of images, at any depth, with their annotations: as LabelImg leaves it, or as an export was unzipped. '
        'The folders train, valid (or val) and test in it are splits; without them there is one, named all.',
        group=SOURCE,
    )
    format: str = setting(
        'auto',
        'What --images_dir holds: VOC XML with the lists of a VOC folder (voc) or without (xml), '
        '_annotations.coco.json (coco), or YOLO texts (yolo). auto finds out and says why.',
        group=SOURCE,
        choices=('auto', *FORMATS_OF_FOLDERS),
    )
    annotations_dir: str = setting(
        '', 'Folder of XML files, at any depth.', group=SOURCE, unset='those in --images_dir'
    )
    voc_dir: str = setting(
        '',
        'Folder with Annotations, JPEGImages and ImageSets/Main; without the last it is read as --images_dir is.',
        group=SOURCE,
    )
    splits: tuple[str, ...] = setting(
        ('trainval', 'test'),
        'Lists in ImageSets/Main of --voc_dir; anchors are fitted to the first. Where nothing is said and these are '
        'not there: those that have names of splits. Without lists: which of the splits that are there, by default '
        'all.',
        group=SOURCE,
    )
    split_files: tuple[str, ...] = setting(
        (),
        'Lists of images as NAME=FILE, one a line, with or without suffix and path; for --voc_dir and --images_dir.',
        group=SOURCE,
    )
    coco: tuple[str, ...] = setting(
        (),
        "COCO's JSON of each split as NAME=FILE, as train=a.json,val=b.json. Images are looked for in --images_dir, or "
        'else where the JSON is.',
        group=SOURCE,
    )
    yolo: str = setting(
        '', 'data.yaml of a YOLO dataset, or a folder of YOLO texts and images with classes.txt.', group=SOURCE
    )
    unlabelled: str = setting(
        None,
        'What becomes of images without annotation: background (images without objects), or leave_out.',
        group=SOURCE,
        choices=UNLABELLED,
        unset='leave_out where annotations are XML; background for COCO and YOLO, as these mean it',
    )
    tfds: str = setting(
        '',
        'Detection dataset of TensorFlow Datasets, as voc/2007: downloaded if need be, and written to --voc_dir first.',
        group=SOURCE,
        unset='none',
    )
    tfds_data_dir: str = setting(None, 'Where TensorFlow Datasets keeps its data.', group=SOURCE)
    runner: str = setting(
        'local',
        'Who does the work: processes of this machine, or Apache Beam with --beam_options.',
        group=WORK,
        choices=('local', 'beam'),
    )
    beam_options: tuple[str, ...] = setting(
        (), 'Options of Apache Beam, as --runner=FlinkRunner,--flink_master=HOST:8081.', group=WORK
    )
    allow_errors: int = setting(0, 'Images that may be left out with exit status 0.', group=WORK, low=0, high=10**9)
    overwrite: bool = setting(
        False,
        'Replace the records in --out_dir. After a kill go on without this flag: with it everything is written anew.',
        group=WORK,
    )
    recipe: str | None = recipe_setting(group=LARGER)
