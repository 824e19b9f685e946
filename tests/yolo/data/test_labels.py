import os

import pytest

from yolo.data import labels


def test_names_come_from_a_list_a_file_or_voc(tmp_path):
    (tmp_path / 'names.txt').write_bytes('\ufeffcat\n\n dog \nplane, big\n'.encode())
    assert labels.read('cat, dog,,bird ') == ('cat', 'dog', 'bird')
    assert labels.read('cat') == ('cat',)
    assert labels.read(str(tmp_path / 'names.txt')) == ('cat', 'dog', 'plane, big')
    assert labels.read('voc') == labels.VOC
    assert len(labels.VOC) == 20
    assert labels.VOC[14] == 'person'


@pytest.mark.parametrize(
    ('text', 'message'),
    [('a/names', 'no such file'), ('x.names', 'no such file'), ('', 'no names'), ('cat,dog,cat', 'there twice')],
)
def test_what_gives_no_names_is_refused(text, message):
    with pytest.raises(ValueError, match=f'--labels={text}: .*{message}'):
        labels.read(text)


def test_only_a_regular_file_of_names_is_read_and_no_huge_one(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ValueError, match=r'pipe: it is not a regular file'):
        labels.read(str(tmp_path / 'pipe'))
    (tmp_path / 'huge').touch()
    os.truncate(tmp_path / 'huge', labels.MOST_BYTES + 1)
    with pytest.raises(OSError, match='more than 1,048,576'):
        labels.read(str(tmp_path / 'huge'))
