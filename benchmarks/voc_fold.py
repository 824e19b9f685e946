"""The 4,952 images of VOC 2007 test that a public repository holds, as a VOC folder with lists of its own.

  git clone https://github.com/smsjb/voc
  python benchmarks/voc_fold.py --repository=voc --out_dir=VOCfold

The repository holds other photos too: VOC's are those with a number for a name whose XML says "The VOC2007 Database".
Numbers that 5 divides are the test fold (977 images), all others train (3,975). VOC's own training images are not
among them, so no result on this fold may be compared with a published one. Files are linked where the file system can
(both folders on one disk), or else copied. The lists are written last.
"""

import itertools
import os
import pathlib
import re
import shutil

from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_string('repository', None, 'Checkout of the repository.', required=True)
flags.DEFINE_string('out_dir', None, 'VOC folder to write.', required=True)

DATABASE = b'<database>The VOC2007 Database</database>'
EXPECTED = {'train': 3975, 'test': 977}


def divide(repository: pathlib.Path) -> dict[str, list[str]]:
    """The ids of each fold, sorted; ValueError if they are not the 4,952 that they should be."""
    folder = repository / 'Annotations'
    numbered = sorted(path for path in folder.glob('*.xml') if re.fullmatch(r'\d{6}', path.stem))
    ids = [path.stem for path in numbered if DATABASE in path.read_bytes()]
    lists = {'train': [each for each in ids if int(each) % 5], 'test': [each for each in ids if int(each) % 5 == 0]}
    counts = {split: len(those) for split, those in lists.items()}
    if counts != EXPECTED:
        raise ValueError(f'{folder} has {counts} images of VOC 2007, not {EXPECTED}: is the checkout whole?')
    return lists


def link(source: pathlib.Path, target: pathlib.Path) -> None:
    """The same file in another folder; a copy where the file system cannot link. One that is there stays."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_fold(repository: pathlib.Path, folder: pathlib.Path) -> dict[str, list[str]]:
    """Writes the VOC folder, and gives the ids by split back."""
    lists = divide(repository)
    for part, suffix in (('Annotations', '.xml'), ('JPEGImages', '.jpg')):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for image_id in itertools.chain(*lists.values()):
            link(repository / part / f'{image_id}{suffix}', folder / part / f'{image_id}{suffix}')
    list_folder = folder / 'ImageSets/Main'
    list_folder.mkdir(parents=True, exist_ok=True)
    for split, ids in lists.items():
        (list_folder / f'{split}.txt').write_text(''.join(f'{image_id}\n' for image_id in ids))
    return lists


def main(_) -> None:
    """Writes the folder and prints what it holds."""
    try:
        lists = write_fold(pathlib.Path(FLAGS.repository), pathlib.Path(FLAGS.out_dir))
    except (ValueError, OSError) as error:
        raise SystemExit(f'voc_fold.py: {error}') from error
    print(f'{FLAGS.out_dir}: ' + ', '.join(f'{split} {len(ids):,} images' for split, ids in lists.items()))


if __name__ == '__main__':
    app.run(main)
