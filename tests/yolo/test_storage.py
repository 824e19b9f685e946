"""The same on the disk and through tf.io.gfile: ram:// is a file system that only the latter opens."""

import pytest

from yolo import storage


@pytest.fixture(params=['disk', 'gfile'])
def folder(request, tmp_path):
    return str(tmp_path / 'a') if request.param == 'disk' else f'ram://{tmp_path}/a'


def test_what_is_written_is_there(folder):
    storage.make_folder(f'{folder}/b')
    storage.make_folder(f'{folder}/b')
    storage.write(f'{folder}/x.txt', 'é')
    storage.write(f'{folder}/x.txt', 'éé')
    storage.write(f'{folder}/b/y', b'\0\xff')
    assert storage.read(f'{folder}/x.txt') == 'éé'.encode()
    assert storage.read(f'{folder}/b/y') == b'\0\xff'
    assert storage.names(folder) == ['b', 'x.txt']
    assert storage.glob(f'{folder}/*.txt') == [f'{folder}/x.txt']
    assert [storage.exists(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [True, True, False]
    assert [storage.is_file(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [True, False, False]
    assert [storage.is_folder(f'{folder}/{name}') for name in ('x.txt', 'b', 'c')] == [False, True, False]
    assert storage.size(f'{folder}/x.txt') == 4
    storage.remove(f'{folder}/x.txt')
    assert storage.names(folder) == ['b']
    storage.remove_folder(folder)
    assert not storage.exists(f'{folder}/b/y')
    assert not storage.is_folder(folder)


def test_a_file_is_not_there_before_it_is_whole(folder):
    storage.make_folder(folder)

    def killed():
        with storage.writer(f'{folder}/x') as file:
            file.write(b'half')
            raise RuntimeError('killed')

    with pytest.raises(RuntimeError, match='killed'):
        killed()
    assert storage.names(folder) == ['x.partial']


def test_what_is_missing_is_named(folder):
    for function in (storage.read, storage.names, storage.remove):
        with pytest.raises(FileNotFoundError, match='nothing'):
            function(f'{folder}/nothing')
