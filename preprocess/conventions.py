"""What is the same in all annotations of a split is said once: it is how the tool that wrote them counts or files."""

from collections.abc import Sequence

from yolo.data.images import UPPER_BITS
from yolo.data.problems import FROM_ZERO, NO_ANNOTATION, NOTED, Problem

TEXTS = {
    FROM_ZERO: (
        '{number} boxes in {images} images begin at 0, where the first pixel of VOC is 1 (such as {first!r}): taken '
        "for the convention of another tool; they begin at the image's edge"
    ),
    NO_ANNOTATION: (
        '{images} images have no annotation (such as {first!r}): written as images without objects; '
        '--unlabelled=leave_out leaves them out'
    ),
    UPPER_BITS: (
        '{images} images have 16 bits, of which the upper 8 are taken (such as {first!r}: {detail}); where values are '
        'near each other, --channels=1 --grey_range=LOW,HIGH keeps what is between two of them'
    ),
}


def say_once(problems: Sequence[Problem]) -> list[Problem]:
    """The problems of a split, with one in place of all those that are the same convention."""
    others: list[Problem] = []
    same: dict[str, list[Problem]] = {}
    for problem in problems:
        reason = next((text for text in TEXTS if problem.reason.endswith(text)), None)
        if reason is None or not problem.image_id:
            others.append(problem)
        else:
            same.setdefault(reason, []).append(problem)
    said = []
    for reason, members in same.items():
        images = dict.fromkeys(member.image_id for member in members)
        text = TEXTS[reason].format(
            number=f'{len(members):,}',
            images=f'{len(images):,}',
            first=next(iter(images)),
            detail=members[0].reason.removesuffix(reason).rstrip(': '),
        )
        said.append(Problem(members[0].split, '', NOTED, text))
    return said + others
