"""What can be wrong with an image or an annotation: the kinds that reports tell apart."""

import dataclasses

from yolo.settings import recorded

LEFT_OUT_IMAGE = 'image left out'
LEFT_OUT_BOX = 'box left out'
REPAIRED = 'repaired'  # written with a change: a box clipped to its image, a photo rotated by its EXIF tag
NOTED = 'noted'  # written as it is, but worth a look
LEAK = 'left out as a leak'  # by --leaks=drop: it is in another split too, or nearly
# Reasons that are conventions of a whole set of annotations: said once for a split.
FROM_ZERO = 'it begins at 0, where the first pixel of VOC is 1: at the edge of the image'
NO_ANNOTATION = 'no annotation: written as an image without objects'
OTHER_CLASS = 'its name is not among the labels'  # as --labels means it
KINDS = (LEFT_OUT_IMAGE, LEFT_OUT_BOX, REPAIRED, NOTED, LEAK)


@dataclasses.dataclass(frozen=True)
class Problem:
    """One problem; kind is one of KINDS."""

    split: str
    image_id: str
    kind: str = recorded(choices=KINDS)
    reason: str = recorded()
