"""What every source gives: where annotations and images are, the images of each split, and notes for the user."""

import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

from preprocess.sources.files import such_as
from yolo.data.voc_folder import BACKGROUND, LEAVE_OUT, Sample, Source, background
from yolo.names import check_file_names

Listed = str | tuple[str, ...]  # the path of a list, or the ids themselves


@dataclasses.dataclass(frozen=True)
class Found:
    """source: its folders; splits: the list of each; notes: split, and what its user has to know; format: in words."""

    source: Source
    splits: dict[str, Listed]
    notes: tuple[tuple[str, str], ...] = ()
    format: str = ''

    def with_notes(self, notes: Sequence[str]) -> 'Found':
        """The same with notes on the dataset as a whole, which are said under the first split."""
        first = next(iter(self.splits), '')
        return dataclasses.replace(self, notes=(*self.notes, *((first, note) for note in notes)))


def gather(
    source: Source, splits: Mapping[str, Sequence[str]], wanted: Sequence[str] | None, labelled: frozenset[str]
) -> Found:
    """The splits of a source: all, or those that are wanted, in that order; and what became of images without objects.

    splits: ids by name; those under '' are in no split. labelled: the ids that have an annotation; what becomes of the
    others `source.unlabelled` says. ValueError for a split that is not there, or has a name that is none.
    """
    outside = splits.get('', ())
    splits = {name: ids for name, ids in splits.items() if name}
    missing = [name for name in wanted or () if name not in splits]
    if missing:
        place = source.images_dir or posixpath.dirname(source.annotations_dir)
        raise ValueError(
            f'--splits={",".join(wanted or ())}: {place} has no lists, and its splits are {", ".join(splits)}; give '
            'one of these, or lists by --split_files'
        )
    check_file_names(splits, 'splits')
    samples, notes = dict(source.samples), []
    lists: dict[str, Listed] = {}
    for name in wanted or splits:
        none = [image_id for image_id in splits[name] if image_id not in labelled]
        lists[name] = tuple(splits[name])
        if none and source.unlabelled == LEAVE_OUT:
            lists[name] = tuple(image_id for image_id in splits[name] if image_id in labelled)
        elif none:
            empty = [each for each in none if not samples[each].annotation]  # COCO's says so itself
            samples |= {each: dataclasses.replace(samples[each], annotation=background()) for each in empty}
        if none:
            notes.append((name, _describe_unlabelled(none, len(splits[name]), source.unlabelled)))
    if outside:
        text = f'{len(outside)} images are in none of the folders {", ".join(splits)}{such_as(outside)}: left out'
        notes.append((next(iter(lists)), text))
    return Found(dataclasses.replace(source, samples=samples), lists, tuple(notes))


def _describe_unlabelled(ids: Sequence[str], number: int, unlabelled: str) -> str:
    text = f'{len(ids)} of {number} images have no annotation{such_as(ids)}: '
    if unlabelled == BACKGROUND:
        return text + f'written as images without objects; --unlabelled={LEAVE_OUT} leaves them out'
    return text + f'left out; --unlabelled={BACKGROUND} writes them as images without objects'


def make_sample(folder: str, image: str, annotations_dir: str, annotation: str) -> Sample:
    """An image and its annotation ('': none), by their paths in two folders."""
    path = posixpath.join(annotations_dir, annotation) if annotation else ''
    return Sample(posixpath.join(folder, image), path)


def describe(source: Source) -> dict:
    """A source as the manifest has it: its folders, and what is not as in a VOC folder; not the annotations.

    That crowds are regions is said where there are some: records that were made before do not have them.
    """
    described: dict = {'annotations_dir': source.annotations_dir, 'images_dir': source.images_dir}
    others = {
        'yolo_classes': source.classes,
        'unlabelled': source.unlabelled if source.unlabelled != LEAVE_OUT else '',
        'crowds': 'regions' if _has_crowds(source) else '',
    }
    return described | {name: value for name, value in others.items() if value}


def _has_crowds(source: Source) -> bool:
    annotations = (sample.annotation for sample in source.samples.values())
    return any(annotation.crowds is not None for annotation in annotations if annotation)
