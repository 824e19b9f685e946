"""The same on the disk and through tf.io.gfile: ram:// is a file system that only the latter opens."""

import pytest

from yolo import files


@pytest.fixture(params=['disk', 'gfile'])
def folder(request, tmp_path):
    return str(tmp_path / 'a') if request.param == 'disk' else f'ram://{tmp_path}/a'


def test_what_is_written_is_there(folder):
    files.make_folder(f'{folder}/b')
    files.make_folder(f'{folder}/b')
    files.write(f'{folder}/x.txt', 'é')
    files.write(f'{folder}/x.txt', 'éé')
    files.write(f'{folder}/b/y', b'\0\xff')
    assert files.read(f'{folder}/x.txt') == 'éé'.encode()
    assert files.read(f'{folder}/b/y') == b'\0\xff'
    assert files.names(folder) == ['b', 'x.txt']
    assert files.glob(f'{folder}/*.txt') == [f'{folder}/x.txt']
    assert [files.exists(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [True, True, False]
    assert [files.is_file(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [True, False, False]
    assert [files.is_folder(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [False, True, False]
    files.remove(f'{folder}/x.txt')
    assert files.names(folder) == ['b']


def test_a_file_is_not_there_before_it_is_whole(folder):
    files.make_folder(folder)

    def killed():
        with files.writer(f'{folder}/x') as file:
            file.write(b'half')
            raise RuntimeError('killed')

    with pytest.raises(RuntimeError, match='killed'):
        killed()
    assert files.names(folder) == ['x.partial']


def test_what_is_missing_is_named(folder):
    for function in (files.read, files.names, files.remove):
        with pytest.raises(FileNotFoundError, match='nothing'):
            function(f'{folder}/nothing')
