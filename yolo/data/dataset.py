"""What `dataset.json` and `manifest.json` of a folder of records hold, and what is true of every such folder."""

import dataclasses
import re

from yolo import descriptions
from yolo.data import grey
from yolo.data.images import FORMATS
from yolo.geometry.letterbox import COLOUR, GREY, MOST_SIDE, RESIZES
from yolo.settings import recorded

MOST_SHARDS = 99_999  # of a split: a shard's name has five digits for its number
MOST_BOXES = 1_000_000  # in one image; annotations of that many objects would not be read
SHARD_NAME = re.compile(r'[^/]+\.tfrecord-(\d{5})-of-(\d{5})')


@dataclasses.dataclass(frozen=True)
class Split:
    """What was written for one split: counts of images and objects, and what was left out."""

    num_images: int = recorded(low=0)
    num_shards: int = recorded(low=0, high=MOST_SHARDS)
    num_objects: int = recorded(low=0)
    num_difficult: int = recorded(low=0)
    objects_per_class: dict[str, int] = recorded()
    max_boxes: int = recorded(low=0, high=MOST_BOXES)  # most objects in one image
    images_left_out: int = recorded(low=0)
    boxes_left_out: int = recorded(low=0)
    num_truncated: int = recorded(0, low=0)
    num_regions: int = recorded(0, low=0)  # ignore regions, beside the objects
    max_regions: int = recorded(0, low=0, high=MOST_BOXES)  # most ignore regions in one image
    # height, width of the stored images where that is not the image_size of the network
    stored_size: tuple[int, ...] = recorded((), low=32, high=MOST_SIDE)


@dataclasses.dataclass(frozen=True)
class Description:
    """How a folder of records was made. Training and evaluation read it, so that no flag of theirs can disagree."""

    classes: tuple[str, ...]
    image_size: tuple[int, int] = recorded(low=32, high=MOST_SIDE)  # height, width of the network's images in pixels
    anchors: tuple[tuple[float, float], ...] = recorded()  # w, h in grid cells
    anchors_from: str = recorded()  # the --anchors of preprocess: 'kmeans:5', 'voc', ...
    # mean over the first split's boxes of the IoU with their best anchor, both at the origin
    anchors_mean_iou: float = recorded(low=0, high=1)
    jpeg_quality: int = recorded(low=1, high=100)
    splits: dict[str, Split] = recorded()
    tool_version: str = recorded()
    resize: str = recorded('stretch', choices=RESIZES)  # how the images were resized to that size
    image_format: str = recorded('jpeg', choices=FORMATS)  # how they are stored
    channels: int = recorded(COLOUR, low=GREY, high=COLOUR)  # of the images: 3 for colour, 1 for grey
    grey_range: tuple[int, ...] = recorded((), low=0, high=grey.MOST_VALUE)  # of 16 bits, what became 0 and 255

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the grid: one cell is 32 x 32 pixels of the network's image."""
        return self.image_size[0] // 32, self.image_size[1] // 32

    @property
    def max_boxes(self) -> int:
        """The most objects in any image of any split, at least 1."""
        return max([1, *(split.max_boxes for split in self.splits.values())])

    @property
    def max_regions(self) -> int:
        """The most ignore regions in any image of any split, 0 if there are none."""
        return max([0, *(split.max_regions for split in self.splits.values())])

    def padded_regions(self, name: str) -> int:
        """To how many ignore regions the images of a split are padded; 0 if it has none, so that they cost nothing."""
        return self.max_regions if self.split(name).max_regions else 0

    def stored_size(self, name: str) -> tuple[int, int]:
        """Height, width of the stored images of a split: those of the network, or larger ones (--store_size)."""
        height, width = self.split(name).stored_size or self.image_size
        return height, width

    def say_larger(self) -> str:
        """In words, which splits hold images of another size than the network's; '' if none."""
        sizes = {name: self.stored_size(name) for name in self.splits}
        return ''.join(
            f', in {name} stored at {width} x {height}'
            for name, (height, width) in sizes.items()
            if (height, width) != self.image_size
        )

    def split(self, name: str) -> Split:
        """The split of that name; ValueError names those that there are."""
        if name not in self.splits:
            raise ValueError(f'no split {name!r} in this folder; it has {", ".join(sorted(self.splits))}')
        return self.splits[name]


@dataclasses.dataclass(frozen=True)
class ShardFile:
    """What one file of records holds: its images, its length in bytes and its CRC-32C."""

    num_images: int = recorded(low=0)
    num_bytes: int = recorded(low=0)
    crc32c: int = recorded(low=0, high=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The settings of `preprocess`, and the TFRecord files by name; no files while they are being written."""

    settings: dict
    shards: dict[str, ShardFile]


def check_description(description: Description) -> None:
    """ValueError, with field and value, for a description that no folder of records can have."""
    if not description.classes:
        raise ValueError('classes is empty')
    descriptions.check_names(description.classes, 'classes')
    descriptions.check_names(description.splits, 'splits')
    grey.check(description.channels, description.grey_range)
    if any(side % 32 for side in description.image_size):
        raise ValueError(f'image_size is {description.image_size}: not multiples of 32')
    if not description.anchors:
        raise ValueError('anchors is empty')
    for number, anchor in enumerate(description.anchors):
        if not min(anchor) > 0:
            raise ValueError(f'anchors[{number}] is {anchor}: a side must be more than 0')
    for name, split in description.splits.items():
        if '/' in name:
            raise ValueError(f'splits has {name!r}: a / in a name leaves the folder')
        if len(split.stored_size) not in (0, 2):
            raise ValueError(f'splits.{name}.stored_size is {split.stored_size}: not a height and a width')
        if any(stored < side for stored, side in zip(split.stored_size, description.image_size, strict=False)):
            raise ValueError(f'splits.{name}.stored_size is {split.stored_size}: less than image_size')
        problem = _find_wrong_count(split, description.classes)
        if problem:
            raise ValueError(f'splits.{name}.{problem}')


def _find_wrong_count(split: Split, classes: tuple[str, ...]) -> str:
    """What of a split's counts cannot be, '' if all fit each other."""
    if split.objects_per_class.keys() != set(classes):
        return 'objects_per_class has other names than classes'
    for name, number in split.objects_per_class.items():
        if number < 0:
            return f'objects_per_class.{name} is {number}: must be 0 or more'
    total = sum(split.objects_per_class.values())
    if total != split.num_objects:
        return f'num_objects is {split.num_objects}, but objects_per_class adds up to {total}'
    for field in ('num_difficult', 'num_truncated', 'max_boxes'):
        if getattr(split, field) > split.num_objects:
            return f'{field} is {getattr(split, field)}, of {split.num_objects} objects'
    if split.num_objects > split.max_boxes * split.num_images:
        return f'max_boxes is {split.max_boxes}, but {split.num_images} images have {split.num_objects} objects'
    if not split.max_regions <= split.num_regions <= split.max_regions * split.num_images:
        return f'max_regions is {split.max_regions}, but {split.num_images} images have {split.num_regions} regions'
    if split.num_images and not split.num_shards:
        return f'num_shards is 0, of {split.num_images} images'
    return ''


def check_manifest(manifest: Manifest) -> None:
    """ValueError for a name in the manifest that is not that of a file of records."""
    for name in manifest.shards:
        match = SHARD_NAME.fullmatch(name)
        if not match or int(match.group(1)) >= int(match.group(2)):
            raise ValueError(f'shards has {name!r}: not the name of a file of records')
