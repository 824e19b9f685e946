"""The same on the disk and through tf.io.gfile: ram:// is a file system that only the latter opens."""

import json
import os
import pathlib

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


def test_a_file_is_not_there_before_it_is_whole_and_nothing_is_left_after_an_error(folder):
    storage.make_folder(folder)

    def write():
        with storage.writer(f'{folder}/x') as file:
            file.write(b'half')
            assert storage.names(folder) == ['x.partial']
            raise RuntimeError('the disk is full')

    with pytest.raises(RuntimeError, match='full'):
        write()
    assert storage.names(folder) == []


def test_files_of_programs_that_write_by_name_are_there_whole_or_as_they_were(folder):
    storage.make_folder(folder)

    def write(text, error):
        with storage.local_writer(f'{folder}/x.keras', '.keras') as path:
            assert path.endswith('.keras')
            pathlib.Path(path).write_text(text)
            if error:
                raise error

    write('first', None)
    assert storage.read(f'{folder}/x.keras') == b'first'
    with pytest.raises(OSError, match='full'):
        write('second', OSError('the disk is full'))
    assert storage.names(folder) == ['x.keras']
    assert storage.read(f'{folder}/x.keras') == b'first'


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / 'README.md').write_text('text')
    (tmp_path / 'nowhere').symlink_to('missing')
    for name, wanted in (('README.md', ''), ('README.md', '/a/b'), ('nowhere', '')):
        with pytest.raises(OSError, match=f'{tmp_path}/{name} is a file, not a folder; give another folder'):
            storage.make_folder(f'{tmp_path}/{name}{wanted}')


def test_names_that_are_no_text_are_escaped(tmp_path):
    name = os.fsdecode(b'caf\xe9 \xc3\xa9')
    assert storage.printable(name) == 'caf\\xe9 é'
    assert storage.printable('\ud800') == '\\ud800'
    assert storage.printable('日本') == '日本'
    storage.write(str(tmp_path / 'a.json'), json.dumps([name], ensure_ascii=False))
    assert json.loads((tmp_path / 'a.json').read_text('utf-8')) == [name]


def test_what_is_missing_is_named(folder):
    for function in (storage.read, storage.names, storage.remove):
        with pytest.raises(FileNotFoundError, match='nothing'):
            function(f'{folder}/nothing')


def test_only_regular_files_are_read_and_at_most_so_many_bytes(tmp_path):
    os.mkfifo(tmp_path / 'pipe')  # nobody writes to it: whoever opens it as a file waits for ever
    os.symlink('/dev/zero', tmp_path / 'zero')
    (tmp_path / 'file').write_bytes(b'1234')
    os.symlink(tmp_path / 'file', tmp_path / 'link')
    for name in ('pipe', 'zero'):
        with pytest.raises(OSError, match='not a regular file') as caught:
            storage.read(str(tmp_path / name))
        assert caught.value.filename == str(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        storage.read(str(tmp_path))
    assert storage.read(str(tmp_path / 'link'), most_bytes=4) == b'1234'
    assert storage.read('/proc/self/stat', most_bytes=1 << 20).split()[0] == str(os.getpid()).encode()  # says: empty
    with pytest.raises(OSError, match='it has 4 bytes, more than 3'):
        storage.read('/proc/self/stat', most_bytes=3)
    with pytest.raises(OSError, match='it has 4 bytes, more than 3'):
        storage.read(str(tmp_path / 'file'), most_bytes=3)


def test_most_bytes_holds_through_gfile_too(folder):
    storage.make_folder(folder)
    storage.write(f'{folder}/x', b'1234')
    assert storage.read(f'{folder}/x', most_bytes=4) == b'1234'
    with pytest.raises(OSError, match='it has 4 bytes, more than 3'):
        storage.read(f'{folder}/x', most_bytes=3)
