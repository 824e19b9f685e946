"""Images and their VOC XML in one folder or two, without lists: what LabelImg leaves, and exports as they are unzipped.

python -m preprocess --images_dir=photos --out_dir=data/mine
"""

import posixpath
from collections.abc import Sequence

from preprocess.sources import files, found
from preprocess.sources.found import Found
from yolo.data import voc_folder, voc_xml
from yolo.data.voc_folder import Source


def find(annotations_dir: str, images_dir: str, wanted: Sequence[str] | None, unlabelled: str) -> Found:
    """Every image in a folder, and in the folders in it, with its XML.

    wanted: the splits to take; None: all. ValueError if a folder is not there, or no image has an XML.
    """
    source = voc_folder.checked(Source(annotations_dir, images_dir, unlabelled=unlabelled))
    images = files.images_of(files.walk(images_dir))
    annotations = [path for path in files.walk(annotations_dir) if files.suffix(path) == files.XML]
    pairs = files.pair(images, annotations)
    pairs |= _pair_by_filename(
        [image for image in images if image not in pairs],
        sorted(set(annotations) - set(pairs.values())),
        annotations_dir,
    )
    if not pairs:
        raise ValueError(
            f'{images_dir} has {len(images)} images, and {annotations_dir} {len(annotations)} VOC XML files of which '
            'none is that of one of the images'
        )
    ids = files.make_ids(images)
    samples = {
        ids[image]: found.make_sample(images_dir, image, annotations_dir, pairs.get(image, '')) for image in images
    }
    source = Source(annotations_dir, images_dir, samples, unlabelled=unlabelled)
    labelled = frozenset(ids[image] for image in pairs)
    result = found.gather(source, found.split_by_folder(list(samples)), wanted, labelled)
    lonely = sorted(set(annotations) - set(pairs.values()))
    if not lonely:
        return result
    note = f'{len(lonely)} annotations have no image, or more than one{files.such_as(lonely)}: left out'
    return Found(result.source, result.splits, (*result.notes, (next(iter(result.splits)), note)))


def _pair_by_filename(images: Sequence[str], annotations: Sequence[str], folder: str) -> dict[str, str]:
    """The annotations that name an image in <filename>, which may be a path of another machine."""
    names = {path: _read_filename(posixpath.join(folder, path)) for path in annotations if images}
    named = [path for path in annotations if names.get(path)]
    of_annotation = {path: files.loose_name_of(name) for path, name in names.items()}
    return files.match(images, named, lambda path: of_annotation.get(path) or files.loose_name_of(path))


def _read_filename(path: str) -> str:
    try:
        return voc_xml.parse_annotation(voc_folder.read_file(path, 'annotation', voc_folder.MOST_XML_BYTES)).filename
    except ValueError:
        return ''  # of no image
