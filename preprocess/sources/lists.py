"""Lists of image ids, and what people write into them: suffixes, paths, blanks where the file's name has `_`."""

import collections
import dataclasses
import posixpath
from collections.abc import Mapping, Sequence

from preprocess.sources import files
from preprocess.sources.found import Found, Listed
from yolo import storage
from yolo.data import voc_folder
from yolo.data.problems import NOTED, Problem
from yolo.data.voc_folder import Sample, Source


def read_lists(splits: Mapping[str, Listed]) -> tuple[dict[str, list[str]], dict[str, list[Problem]]]:
    """The image ids of each split, each once, and the problems of the lists themselves."""
    lists, problems = {}, {}
    for split, listed in splits.items():
        times = collections.Counter(voc_folder.read_split(listed) if isinstance(listed, str) else listed)
        lists[split] = list(times)
        repeated = [image_id for image_id, number in times.items() if number > 1]
        name = f'the list {listed}' if isinstance(listed, str) else 'the split'
        problems[split] = [Problem(split, '', NOTED, f'{name} is empty')] if not times else []
        problems[split] += [Problem(split, each, NOTED, 'listed more than once; written once') for each in repeated]
    return lists, problems


def understand(source: Source, splits: Mapping[str, str]) -> Found:
    """Lists in which each line is understood as an image whose XML is there, if there is one that it can mean.

    splits: the path of each list. A list whose ids all are names of files stays as it is; what no file fits is kept,
    and the conversion says so. ValueError if a list cannot be read.
    """
    index = _Index(source)
    listed: dict[str, Listed] = {}
    notes, samples = [], dict(source.samples)
    for split, path in splits.items():
        ids = voc_folder.read_split(path)
        odd = [image_id for image_id in dict.fromkeys(ids) if image_id not in index.plain]
        meant = {image_id: found for image_id in odd if (found := index.find(image_id))}
        samples |= {image_id: sample for image_id, sample in meant.values() if sample}
        changed = {image_id: found for image_id, (found, _) in meant.items() if found != image_id}
        listed[split] = tuple(changed.get(image_id, image_id) for image_id in ids) if changed else path
        if changed:
            first = next(iter(changed))
            text = f'{len(changed)} lines of {path} were understood as other names, such as {first!r} as '
            notes.append((split, text + repr(changed[first])))
    return Found(dataclasses.replace(source, samples=samples), listed, tuple(notes))


class _Index:
    """The files of a source. Its folders are listed once, and what is deeper in them only if an id asks for it."""

    def __init__(self, source: Source):
        self.source = source
        annotations = _stems(source.annotations_dir, ('.xml',))
        # The ids whose XML and image lie where VOC has them.
        self.plain = annotations & _stems(source.images_dir, voc_folder.IMAGE_SUFFIXES)
        self.deep: tuple[_Names, _Names] | None = None

    def find(self, text: str) -> tuple[str, Sample | None] | None:
        """The id that a line of a list means, and where its files are if not where VOC has them; None if there is none.

        Only an annotation makes an id: an image without one is found by the name that the list gives it.
        """
        if self.deep is None:
            self.deep = _Names(self.source.annotations_dir, True), _Names(self.source.images_dir, False)
        annotation, image = (names.find(text) for names in self.deep)
        if not annotation:
            return (files.stem(image), _sample(self.source, image, '')) if image else None
        image = image or self.deep[1].find(annotation)
        return files.stem(annotation), _sample(self.source, image, annotation)


def _sample(source: Source, image: str, annotation: str) -> Sample | None:
    """Where the files are, '' for one that is where VOC has it, or whose XML has to say where; None if both are."""
    image_id = files.stem(annotation or image)
    is_plain = any(image == image_id + suffix for suffix in voc_folder.IMAGE_SUFFIXES)
    image_path = '' if is_plain or not image else posixpath.join(source.images_dir, image)
    annotation_path = posixpath.join(source.annotations_dir, annotation) if annotation else ''
    if annotation == f'{image_id}.xml':
        annotation_path = ''
    return Sample(image_path, annotation_path) if image_path or annotation_path else None


def _stems(folder: str, suffixes: tuple[str, ...]) -> set[str]:
    """The names in a folder that have one of the suffixes, without it."""
    return {name[: name.rindex('.')] for name in storage.names(folder) if name.endswith(suffixes)}


class _Names:
    """The annotations or the images in a folder and the folders in it, by what a list may call them."""

    def __init__(self, folder: str, annotations: bool):
        paths = list(files.walk(folder))
        xml = [path for path in paths if files.suffix(path) == files.XML]
        self.paths = xml if annotations else files.images_of(paths)
        self.by_stem: dict[str, str] = {}
        self.by_name: dict[str, list[str]] = {}
        for path in self.paths:
            self.by_stem.setdefault(files.composed(files.stem(path)), path)
            self.by_name.setdefault(files.loose_name_of(path), []).append(path)

    def find(self, text: str) -> str:
        """The file that is meant, '' if there is none or more than one: by its path, or an end of it, or its name."""
        text = files.composed(text)
        parts: Sequence[str] = text.replace('\\', '/').split('/')
        for path in (text, files.stem(text)):
            if path in self.by_stem:
                return self.by_stem[path]
        for start in range(len(parts)):
            path = '/'.join(parts[start:])
            if files.stem(path) in self.by_stem:
                return self.by_stem[files.stem(path)]
        same = self.by_name.get(files.loose_name_of(text), ())
        return same[0] if len(same) == 1 else ''
