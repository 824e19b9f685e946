"""Names that become parts of files' names are refused where they come in."""

import pytest

from preprocess.sources import voc
from yolo import names
from yolo.data import labels
from yolo.evaluation import devkit_files

GOOD = ['cat', 'dining table', 'caf\u00e9', '猫', 'a,b', '..', 'a\\b', 'x' * names.MOST_BYTES]
BAD = {
    'a/b': '/',
    '../x': '/',
    'a\nb': r'\\n',
    'a\0b': r'\\x00',
    'a\x1b[1m': r'\\x1b',
    '\udcff': 'udcff',
    ' ': 'empty',
    '': 'empty',
}
BAD |= {'a\u2028b': 'u2028', '猫' * 34: '102 bytes'}


@pytest.mark.parametrize('name', GOOD)
def test_good_names(name):
    assert names.find_problem(name) == names.find_file_problem(name) == ''


@pytest.mark.parametrize(('name', 'reason'), BAD.items())
def test_bad_names(name, reason):
    with pytest.raises(ValueError, match=reason):
        names.check_file_names(['cat', name], 'here')


def test_a_name_that_old_records_may_have_can_still_be_read():
    assert names.find_problem('a/b') == ''


@pytest.mark.parametrize('text', ['cat,a/b', 'cat,a\x07b'])
def test_labels(text, tmp_path):
    with pytest.raises(ValueError, match='--labels='):
        labels.read(text)
    (tmp_path / 'names.txt').write_text(text.replace(',', '\n'))
    with pytest.raises(ValueError, match=r'names\.txt: .a'):
        labels.read(str(tmp_path / 'names.txt'))


@pytest.mark.parametrize('name', ['../esc', '/tmp/esc', 'a\nb', ' ', 'x' * 101])
def test_splits_stay_in_their_folder(name, tmp_path):
    for folder in ('Annotations', 'JPEGImages'):
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match='--splits='):
        voc.voc_folder(str(tmp_path), ['train', name])
    with pytest.raises(ValueError, match='--split_files='):
        voc.separate_folders(str(tmp_path / 'Annotations'), str(tmp_path / 'JPEGImages'), [f'{name}=list.txt'])


def test_result_files_of_the_devkit():
    with pytest.raises(ValueError, match=r"the split: '\.\./x'"):
        devkit_files.read_detections('folder', '../x', ['cat'], [])
    with pytest.raises(ValueError, match="the classes: 'a/b'"):
        devkit_files.read_detections('folder', 'test', ['cat', 'a/b'], [])
