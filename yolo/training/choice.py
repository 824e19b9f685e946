"""What the rules of --recipe=auto know of data and device, and the settings that they choose."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Data:
    """What the rules know of the records.

    num_images: to train on; image_size: height, width of the network's images; num_classes: of those with objects;
    splits: images of each that has some, in order; sides: by class, the median side (root of the area) of its objects
    in pixels of such an image; is_stretched: whether the images fill it, without grey bars.
    """

    num_images: int
    num_objects: int
    image_size: tuple[int, int]
    num_classes: int
    splits: Mapping[str, int]
    sides: Mapping[str, float]
    is_stretched: bool = True

    @property
    def smallest(self) -> str:
        """The class with the smallest objects, '' without objects."""
        return min(self.sides, key=lambda name: self.sides[name], default='')


@dataclasses.dataclass(frozen=True)
class Device:
    """What the rules know of the devices: in words what they are, whether they are faster than CPUs, and how many."""

    name: str
    is_accelerator: bool = False
    replicas: int = 1
    processes: int = 1


@dataclasses.dataclass(frozen=True)
class Choice:
    """Settings by name, and the reason for each in words; base: the recipe that has the others."""

    base: str
    values: Mapping[str, Any]
    reasons: Mapping[str, str]

    def adding(self, name: str, value: Any, reason: str, given: Mapping[str, Any]) -> 'Choice':
        """With one more setting, unless it is given."""
        if name in given:
            value, reason = given[name], f'as --{name} says'
        values, reasons = {**self.values, name: value}, {**self.reasons, name: reason}
        return dataclasses.replace(self, values=values, reasons=reasons)
