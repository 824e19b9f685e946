"""What the manifest records of a conversion: the settings that its records depend on."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import google_crc32c
import numpy as np

from preprocess import shards
from preprocess.resume import ANNOTATIONS
from preprocess.scan import Scan
from preprocess.settings import Settings
from preprocess.sources import found
from yolo.settings import of
from yolo.version import VERSION


def record(
    settings: Settings,
    lists: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    anchors: np.ndarray,
    scans: Mapping[str, Scan],
) -> dict:
    """What the records depend on, for the manifest, as JSON gives it back: all settings but those with may_change.

    Settings that stand for something in the data are recorded as what they came to, and of the annotations a checksum.
    """
    resolved = {
        'source': found.describe(settings.source),
        'splits': {
            'splits': {
                split: f'{len(ids)} images, {google_crc32c.value(chr(10).join(ids).encode()):08x}'
                for split, ids in lists.items()
            }
        },
        'labels': {'classes': classes},
        'anchors': {'anchors': anchors.tolist(), 'anchors_from': settings.anchors},
        'store_size': {'store_size': None if settings.first_size == settings.image_size else settings.store_size},
        'num_shards': {'num_shards': {split: shards.num_shards(settings, ids) for split, ids in lists.items()}},
    }
    recorded: dict = {}
    for field in dataclasses.fields(settings):
        if not of(field).may_change:
            recorded |= resolved.get(field.name, {field.name: getattr(settings, field.name)})
    checksums = {split: f'{each.checksum:08x}' for split, each in scans.items()}
    return json.loads(json.dumps(recorded | {ANNOTATIONS: checksums, 'tool_version': VERSION}))


def defaults(settings: Settings, now: Mapping) -> dict:
    """What stands for what an older manifest does not have: the defaults of the settings that are recorded as they are.

    now: what is recorded now. Records without a checksum of their annotations are taken to be of those that there are.
    COCO's crowds were left out before they were regions.
    """
    fields = [field for field in dataclasses.fields(settings) if not of(field).may_change]
    defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    return json.loads(json.dumps(defaults | {ANNOTATIONS: now[ANNOTATIONS], 'crowds': 'left out'}))
