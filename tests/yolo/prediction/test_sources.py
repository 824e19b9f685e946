"""What a source means: files, folders, patterns, lists, cameras and addresses."""

import os

import pytest

from yolo.prediction import sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images and videos in two levels, and a link that leads in a circle."""
    for name in (
        'b.jpg',
        'a.PNG',
        'clip.mp4',
        'notes.md',
        'sub/c.jpg',
        'sub/d.AVI',
        'sub/deep/e.webp',
        'out/a.PNG.png',
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    (tmp_path / 'sub' / 'circle').symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_has_images_and_videos(folder):
    found = sources.find(str(folder))
    assert found.photos == [f'{folder}/a.PNG', f'{folder}/b.jpg']
    assert found.streams == [f'{folder}/clip.mp4']


def test_folders_within_a_folder_are_searched_on_wish_but_for_the_one_that_is_written_to(folder):
    found = sources.find('.', recursive=True, left_out='out')
    assert found.photos == ['./a.PNG', './b.jpg', './sub/c.jpg', './sub/deep/e.webp']
    assert found.streams == ['./clip.mp4', './sub/d.AVI']
    assert './out/a.PNG.png' in sources.find('.', recursive=True).photos


def test_a_pattern_and_a_file(folder):
    assert sources.find(f'{folder}/*.*').photos == [f'{folder}/a.PNG', f'{folder}/b.jpg', f'{folder}/notes.md']
    assert sources.find('b.jpg') == sources.Sources(['b.jpg'], [])
    assert sources.find('sub/d.AVI') == sources.Sources([], ['sub/d.AVI'])


def test_a_list_has_a_path_a_line_relative_to_where_the_command_runs(folder):
    odd = os.fsdecode(b'caf\xe9.jpg')
    lines = ['b.jpg', '', ' sub/c.jpg\r', 'clip.mp4', str(folder / 'sub'), 'rtsp://host/x', '3', odd, 'b.jpg']
    (folder / 'lists').mkdir()
    (folder / 'lists' / 'all.txt').write_bytes('\n'.join(lines).encode(errors='surrogateescape'))
    found = sources.find('lists/all.txt')
    assert found.photos == ['b.jpg', 'sub/c.jpg', f'{folder}/sub/c.jpg', odd]
    assert found.streams == ['clip.mp4', f'{folder}/sub/d.AVI', 'rtsp://host/x', '3']


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        ('nowhere', 'nowhere: no such file or folder'),
        ('no*.jpg', r'no\*.jpg: no such file or folder'),
        ('empty.txt', 'empty.txt: no line has a path'),
        ('empty', 'empty: no image or video in this folder; looked for .jpg, .*; --recursive also searches'),
    ],
)
def test_nothing_is_an_error(folder, source, message):
    (folder / 'empty.txt').write_text('\n \n')
    (folder / 'empty' / 'empty').mkdir(parents=True)
    with pytest.raises(ValueError, match=message):
        sources.find(source)


@pytest.mark.parametrize(
    ('source', 'is_live', 'shown'),
    [
        ('0', True, 'camera 0'),
        ('rtsp://me:secret@host:554/live/1?token=secret', True, 'rtsp://host:554/live/1'),
        ('HTTP://host', True, 'HTTP://host'),
        ('./0', False, './0'),
        ('gs://bucket/a.mp4', False, 'gs://bucket/a.mp4'),
        ('²', False, '²'),
        (os.fsdecode(b'\xff.mp4'), False, '\\xff.mp4'),
    ],
)
def test_cameras_and_addresses(source, is_live, shown):
    assert sources.is_live(source) == is_live
    assert sources.shown(source) == shown
    if is_live:
        assert sources.find(source) == sources.Sources([], [source])
