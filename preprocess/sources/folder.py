"""Images and their VOC XML in one folder or two, without lists: what LabelImg leaves, and exports as they are unzipped.

python -m preprocess --images_dir=photos --out_dir=data/mine
"""

import posixpath
from collections.abc import Sequence

from preprocess.sources import files, found, pairing, split_folders
from preprocess.sources.found import Found
from yolo.data import voc_folder, voc_xml
from yolo.data.voc_folder import Source


def find(
    annotations_dir: str,
    images_dir: str,
    wanted: Sequence[str] | None,
    unlabelled: str,
    paths: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Found:
    """Every image in a folder, and in the folders in it, with its XML.

    wanted: the splits to take; None: all; paths: what is in the two folders, where it is known.
    ValueError if a folder is not there, or no image has an XML.
    """
    source = voc_folder.checked(Source(annotations_dir, images_dir, unlabelled=unlabelled))
    if paths is None:
        own = list(files.walk(annotations_dir))
        paths = own, own if images_dir == annotations_dir else list(files.walk(images_dir))
    images = files.images_of(paths[1])
    annotations = [path for path in paths[0] if files.suffix(path) == files.XML]
    pairs = pairing.pair(images, annotations)
    pairs |= _pair_by_filename(
        [image for image in images if image not in pairs],
        sorted(set(annotations) - set(pairs.values())),
        annotations_dir,
    )
    if not pairs:
        raise ValueError(
            f'{images_dir} has {len(images)} images, and {annotations_dir} {len(annotations)} VOC XML files'
            + (f'{files.such_as(annotations)}, of which none is that of one of the images' if annotations else '')
        )
    ids = files.make_ids(images)
    samples = {
        ids[image]: found.make_sample(images_dir, image, annotations_dir, pairs.get(image, '')) for image in images
    }
    source = Source(annotations_dir, images_dir, samples, unlabelled=unlabelled)
    labelled = frozenset(ids[image] for image in pairs)
    result = found.gather(source, split_folders.split_by_folder(list(samples)), wanted, labelled)
    return result.with_notes(pairing.describe(pairs, annotations))


def _pair_by_filename(images: Sequence[str], annotations: Sequence[str], folder: str) -> dict[str, str]:
    """The annotations that name an image in <filename>, which may be a path of another machine."""
    names = {path: _read_filename(posixpath.join(folder, path)) for path in annotations if images}
    named = [path for path in annotations if names.get(path)]
    of_annotation = {path: files.loose_name_of(name) for path, name in names.items()}
    return pairing.match(images, named, lambda path: of_annotation.get(path) or files.loose_name_of(path))


def _read_filename(path: str) -> str:
    try:
        return voc_xml.parse_annotation(voc_folder.read_file(path, 'annotation', voc_folder.MOST_XML_BYTES)).filename
    except ValueError:
        return ''  # of no image
