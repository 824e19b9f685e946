"""Real data's dirt, made on the spot: every file ends as written, repaired or left out, and the report says which."""

import errno
import json
import os
import struct

import cv2
import numpy as np
import pytest

from preprocess import convert as conversion
from preprocess.report import summary
from preprocess.settings import Settings
from yolo import storage
from yolo.data import images, labels, records, tfrecord, voc_folder
from yolo.data.problems import LEFT_OUT_BOX, LEFT_OUT_IMAGE, NOTED, REPAIRED

BOX = '<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>'
GOOD = '<object><name>cat</name>' + BOX.format(11, 9, 60, 48) + '</object>'
SIZE = '<size><width>100</width><height>80</height></size>'


def picture() -> np.ndarray:
    """An image (80, 100, 3) BGR, blue on the left."""
    image = np.full((80, 100, 3), 90, np.uint8)
    image[:, :50] = (220, 30, 30)
    return image


def encode(image, suffix, *options) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def with_exif(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with a tag that tells how to turn it."""
    entry = struct.pack('<HHIHH', 0x0112, 3, 1, orientation, 0)
    tiff = b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', 1) + entry + b'\0\0\0\0'
    part = b'Exif\0\0' + tiff
    return jpeg[:2] + b'\xff\xe1' + struct.pack('>H', len(part) + 2) + part + jpeg[2:]


def cmyk_jpeg() -> bytes:
    """A JPEG of four channels; Pillow writes them, OpenCV does not."""
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture()[..., ::-1]).convert('CMYK').save(file, 'JPEG')
    return file.getvalue()


def animated_gif() -> bytes:
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    first = Image.fromarray(picture()[..., ::-1])
    first.save(file, 'GIF', save_all=True, append_images=[Image.new('RGB', first.size, 'white')])
    return file.getvalue()


@pytest.fixture
def make(tmp_path):
    """Puts a file into a VOC folder: image bytes (None: none), XML, names of both."""
    for part in ('Annotations', 'JPEGImages'):
        (tmp_path / part).mkdir()

    def put(image: bytes | None, xml: str | bytes | None = None, image_id='x', suffix='.jpg') -> str:
        if image is not None:
            (tmp_path / 'JPEGImages' / (image_id + suffix)).write_bytes(image)
        text = f'<annotation>{SIZE}{GOOD}</annotation>' if xml is None else xml
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / 'Annotations' / f'{image_id}.xml').write_bytes(data)
        return image_id

    return put


def convert(tmp_path, ids, **changes):
    """Runs the build on a list of ids; the records that were written, and kind and reason of all problems by id."""
    (tmp_path / 'list.txt').write_text('\n'.join(ids))
    source = voc_folder.Source(str(tmp_path / 'Annotations'), str(tmp_path / 'JPEGImages'))
    given = {
        'labels': ('cat', 'dog'),
        'image_size': (64, 96),
        'resize': 'stretch',
        'anchors': 'voc',
        'num_shards': 0,
        'image_format': 'png',
        'jpeg_quality': 95,
        'strict': False,
        'workers': 1,
        **changes,
    }
    settings = Settings(source, {'all': str(tmp_path / 'list.txt')}, str(tmp_path / 'out'), **given)
    description, summaries = conversion.convert(settings, overwrite=True)
    written = {}
    for i in range(description.split('all').num_shards):
        path = records.shard_path(settings.out_dir, 'all', i, description.split('all').num_shards)
        with open(path, 'rb') as file:
            found = [records.deserialize(data) for data in tfrecord.unframe(file, path)]
        written |= {record.image_id: record for record in found}
    problems = {
        image_id: [(p.kind, p.reason) for p in summaries['all'].problems if p.image_id == image_id] for image_id in ids
    }
    return written, problems


def pixels(record) -> np.ndarray:
    return images.decode(record.image)


GREY = cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize(
    ('image', 'suffix'),
    [
        (encode(picture(), '.jpg'), '.jpg'),
        (encode(picture(), '.png'), '.jpg'),
        (encode(GREY, '.jpg'), '.jpg'),
        (encode(GREY, '.png'), '.png'),
        (cmyk_jpeg(), '.jpg'),
        (encode(cv2.cvtColor(picture(), cv2.COLOR_BGR2BGRA), '.png'), '.png'),
        (encode(picture().astype(np.uint16) * 257, '.png'), '.png'),
        (animated_gif(), '.jpg'),
    ],
    ids=['plain', 'png named jpg', 'grey', 'grey png', 'cmyk', 'rgba', '16 bit', 'animated'],
)
def test_images_of_any_kind_are_written_in_colour(make, tmp_path, image, suffix, request):
    make(image, suffix=suffix)
    written, problems = convert(tmp_path, ['x'])
    assert problems['x'] == []
    found = pixels(written['x']).astype(int)
    assert found.shape == (64, 96, 3)
    left, right = found[32, 20], found[32, 80]
    grey = 'grey' in request.node.callspec.id
    np.testing.assert_allclose(
        left, [52] * 3 if grey else [30, 30, 220], atol=25 if 'cmyk' in request.node.callspec.id else 12
    )
    np.testing.assert_allclose(right, [90] * 3, atol=12)
    np.testing.assert_allclose(written['x'].boxes, [[0.1, 0.1, 0.6, 0.6]], atol=1e-6)


@pytest.mark.parametrize(
    ('image', 'reason'),
    [
        (encode(picture(), '.jpg')[:-200], 'damaged: Premature end of JPEG file; --damaged=keep'),
        (b'', 'empty'),
        (b'GIF89a', 'not an image'),
        (encode(picture(), '.png')[:-100], 'not an image'),
        (None, 'no image'),
    ],
    ids=['cut jpeg', 'zero bytes', 'no gif', 'cut png', 'missing'],
)
def test_images_that_cannot_be_read_are_left_out_and_the_rest_goes_on(make, tmp_path, image, reason):
    make(image)
    make(encode(picture(), '.jpg'), image_id='good')
    written, problems = convert(tmp_path, ['x', 'good'])
    assert list(written) == ['good']
    [(kind, said)] = problems['x']
    assert kind == LEFT_OUT_IMAGE
    assert reason in said
    assert problems['good'] == []


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_photo_with_exif_follows_the_size_of_the_xml(make, tmp_path, orientation):
    photo = with_exif(encode(picture(), '.jpg'), orientation)
    turned = f'<annotation>{SIZE.replace("100", "W").replace("80", "100").replace("W", "80")}{GOOD}</annotation>'
    make(photo, image_id='stored')
    make(photo, turned, image_id='turned')
    make(photo, f'<annotation>{GOOD}</annotation>', image_id='silent')
    make(with_exif(encode(picture(), '.jpg'), 1), image_id='straight')
    written, problems = convert(tmp_path, ['stored', 'turned', 'silent', 'straight'])
    assert written['stored'].size == written['silent'].size == written['straight'].size == (80, 100)
    assert problems['straight'] == []
    for image_id in ('stored', 'silent'):
        [(kind, reason)] = problems[image_id]
        assert kind == NOTED
        assert 'boxes refer to stored pixels' in reason
        assert pixels(written[image_id])[32, 20, 2] > 180  # blue is on the left still
    if orientation == 3:  # upside down: the size cannot tell
        assert [kind for kind, _ in problems['turned']] == [NOTED, NOTED]
        return
    [(kind, reason)] = problems['turned']
    assert kind == REPAIRED
    assert 'its annotation is of the turned photo' in reason
    assert written['turned'].size == (100, 80)
    top, bottom = pixels(written['turned'])[10, 48], pixels(written['turned'])[54, 48]
    assert (top if orientation == 6 else bottom)[2] > 180  # left went up (6: clockwise) or down (8)
    np.testing.assert_allclose(written['turned'].boxes, [[10 / 80, 8 / 100, 60 / 80, 48 / 100]], atol=1e-6)


def test_a_size_that_disagrees_is_noted_and_the_image_followed(make, tmp_path):
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE.replace("100", "200")}{GOOD}</annotation>')
    written, problems = convert(tmp_path, ['x'])
    assert written['x'].size == (80, 100)
    np.testing.assert_allclose(written['x'].boxes, [[0.1, 0.1, 0.6, 0.6]], atol=1e-6)
    [(kind, reason)] = problems['x']
    assert kind == NOTED
    assert 'the annotation says 200 x 80, the image is 100 x 80' in reason


@pytest.mark.parametrize(
    ('box', 'name', 'kind', 'reason'),
    [
        ((60, 48, 11, 9), 'cat', LEFT_OUT_BOX, 'no area'),
        ((120, 9, 160, 48), 'cat', LEFT_OUT_BOX, 'outside'),
        (('nan', 9, 60, 48), 'cat', LEFT_OUT_BOX, 'not numbers'),
        ((-20, 9, 60, 48), 'cat', REPAIRED, 'clipped'),
        ((11, 9, 60, 48), 'cow', LEFT_OUT_BOX, 'not among the labels'),
        ((11, 9, 60, 48), '', LEFT_OUT_BOX, 'no name'),
    ],
)
def test_bad_objects_are_named_and_the_others_stay(make, tmp_path, box, name, kind, reason):
    bad = f'<object><name>{name}</name>{BOX.format(*box)}</object>'
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{bad}{GOOD}</annotation>')
    written, problems = convert(tmp_path, ['x'])
    assert len(written['x'].labels) == (2 if kind == REPAIRED else 1)
    [(said_kind, said)] = problems['x']
    assert said_kind == kind
    assert reason in said
    assert said.startswith('object 1 ')
    written, problems = convert(tmp_path, ['x'], strict=True)
    if kind == REPAIRED:
        assert written == {}
        assert problems['x'] == [(LEFT_OUT_IMAGE, f'--strict: {said}')]
    else:
        assert len(written['x'].labels) == 1


@pytest.mark.parametrize(
    ('old', 'new', 'kind', 'reason'),
    [
        ('</name>', '</name><name>dog</name>', REPAIRED, 'it has 2 elements <name>; the first was taken'),
        (
            '</bndbox>',
            '</bndbox>' + BOX.format(1, 1, 9, 9),
            REPAIRED,
            'it has 2 elements <bndbox>; the first was taken',
        ),
        ('</xmin>', '</xmin><xmin>3</xmin><xmin/>', REPAIRED, 'it has 3 elements <xmin>; the first was taken'),
        ('</name>', '</name><difficult>yes</difficult>', REPAIRED, "its <difficult> is 'yes', not 0 or 1"),
        ('</name>', '</name><truncated/>', NOTED, "its <truncated> is '', not 0 or 1; it was taken for 0"),
    ],
)
def test_what_is_there_twice_or_unreadable_is_said_and_counted(make, tmp_path, old, new, kind, reason):
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{GOOD}{GOOD.replace(old, new)}</annotation>')
    written, problems = convert(tmp_path, ['x'])
    np.testing.assert_allclose(written['x'].boxes, [[0.1, 0.1, 0.6, 0.6]] * 2, atol=1e-6)
    assert (written['x'].labels.tolist(), written['x'].difficult.tolist()) == ([0, 0], [False, False])
    [(said_kind, said)] = problems['x']
    assert said_kind == kind
    assert said.startswith(f"object 2 'cat' (11, 9, 60, 48): {reason}")
    assert said in [each['reason'] for each in json.loads((tmp_path / 'out/report.json').read_text())['problems']]
    written, problems = convert(tmp_path, ['x'], strict=True)
    assert list(written) == ([] if kind == REPAIRED else ['x'])
    assert problems['x'] == ([(LEFT_OUT_IMAGE, f'--strict: {said}')] if kind == REPAIRED else [(kind, said)])


def test_thousands_of_objects_and_none(make, tmp_path):
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{GOOD * 4000}</annotation>', 'many')
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}</annotation>', 'none')
    written, problems = convert(tmp_path, ['many', 'none'])
    assert (len(written['many'].labels), len(written['none'].labels)) == (4000, 0)
    assert not written['many'].difficult.any()  # missing: it is not
    assert problems == {'many': [], 'none': []}
    make(
        encode(picture(), '.jpg'),
        f'<annotation>{SIZE}{GOOD.replace("<name>", "<truncated>1</truncated><name>") * 3}{GOOD}</annotation>',
        'cut',
    )
    convert(tmp_path, ['cut'])
    assert records.read_description(str(tmp_path / 'out')).split('all').num_truncated == 3


def test_names_with_spaces_and_unicode_and_ids_twice(make, tmp_path):
    ids = ['two words', 'Ünïcödé 猫', 'sub.dot']
    for image_id in ids:
        make(encode(picture(), '.jpg'), image_id=image_id)
    written, problems = convert(tmp_path, [*ids, ids[0]])
    assert list(written) == ids
    assert problems[ids[0]] == [(NOTED, 'listed more than once; written once')]


@pytest.mark.parametrize('filename', ['../secret.jpg', '/etc/secret.jpg', r'..\secret.jpg'])
def test_a_filename_never_leads_out_of_the_folder(make, tmp_path, filename):
    (tmp_path / 'secret.jpg').write_bytes(encode(picture(), '.jpg'))
    make(None, f'<annotation><filename>{filename}</filename>{SIZE}{GOOD}</annotation>')
    make(encode(picture(), '.jpg'), image_id='good')
    written, problems = convert(tmp_path, ['x', '../secret', 'good'])
    assert list(written) == ['good']
    assert problems['x'][0][0] == LEFT_OUT_IMAGE
    assert 'leads out of' in problems['../secret'][0][1]


def test_links_in_a_circle_and_folders_for_files(make, tmp_path):
    make(None, image_id='circle')
    os.symlink('circle.jpg', tmp_path / 'JPEGImages/circle.jpg')
    os.symlink('ring.xml', tmp_path / 'Annotations/ring.xml')
    (tmp_path / 'Annotations/folder.xml').mkdir()
    make(encode(picture(), '.jpg'), image_id='good')
    written, problems = convert(tmp_path, ['circle', 'ring', 'folder', 'good'])
    assert list(written) == ['good']
    assert 'no image circle.jpg' in problems['circle'][0][1]
    assert 'cannot be read' in problems['ring'][0][1]
    assert 'cannot be read' in problems['folder'][0][1]


def test_pipes_devices_and_huge_files_are_left_out_at_once(make, tmp_path):
    for image_id in ('pipe', 'zero', 'image pipe', 'named pipe', 'huge', 'linked', 'good'):
        make(None if 'pipe' in image_id else encode(picture(), '.jpg'), image_id=image_id)
    for path in ('Annotations/pipe.xml', 'JPEGImages/image pipe.jpg', 'JPEGImages/p.bmp'):  # nobody writes to them
        (tmp_path / path).unlink(missing_ok=True)
        os.mkfifo(tmp_path / path)
    make(None, f'<annotation><filename>p.bmp</filename>{SIZE}{GOOD}</annotation>', 'named pipe')
    (tmp_path / 'Annotations/zero.xml').unlink()
    os.symlink('/dev/zero', tmp_path / 'Annotations/zero.xml')
    os.truncate(tmp_path / 'Annotations/huge.xml', voc_folder.MOST_XML_BYTES + 1)
    (tmp_path / 'Annotations/linked.xml').unlink()
    os.symlink('good.xml', tmp_path / 'Annotations/linked.xml')
    written, problems = convert(tmp_path, ['pipe', 'zero', 'image pipe', 'named pipe', 'huge', 'linked', 'good'])
    assert list(written) == ['linked', 'good']
    for image_id, name in (
        ('pipe', 'pipe.xml'),
        ('zero', 'zero.xml'),
        ('image pipe', 'pipe.jpg'),
        ('named pipe', 'p.bmp'),
    ):
        [(kind, reason)] = problems[image_id]
        assert kind == LEFT_OUT_IMAGE
        assert reason.endswith(f'{name} cannot be read: it is not a regular file')
    assert problems['huge'][0][1].endswith('it has 67,108,865 bytes, more than 67,108,864')


@pytest.mark.parametrize('as_root', [False, True])
def test_a_file_that_may_not_be_read(make, tmp_path, monkeypatch, as_root):
    make(encode(picture(), '.jpg'))
    make(encode(picture(), '.jpg'), image_id='good')
    if as_root:  # for whom nothing is unreadable: then it is played
        read = storage.read

        def refuse(path: str, most_bytes: int | None = None) -> bytes:
            if path.endswith('x.jpg'):
                raise PermissionError(errno.EACCES, 'Permission denied', path)
            return read(path, most_bytes)

        monkeypatch.setattr(storage, 'read', refuse)
    elif os.geteuid() == 0:
        pytest.skip('nothing is unreadable for root')
    else:
        os.chmod(tmp_path / 'JPEGImages/x.jpg', 0)
    written, problems = convert(tmp_path, ['x', 'good'])
    assert list(written) == ['good']
    assert 'x.jpg cannot be read: Permission denied' in problems['x'][0][1]


def test_an_id_without_xml_and_an_empty_split(make, tmp_path):
    make(encode(picture(), '.jpg'), image_id='good')
    (tmp_path / 'JPEGImages/lonely.jpg').write_bytes(encode(picture(), '.jpg'))
    written, problems = convert(tmp_path, ['lonely', 'good'])
    assert list(written) == ['good']
    assert 'no annotation' in problems['lonely'][0][1]
    assert convert(tmp_path, [])[0] == {}


@pytest.mark.parametrize(('name', 'reason'), [('a/b', '/'), ('a\nb', r'\\n'), ('a\x85b', r'\\x85')])
def test_a_class_that_no_file_can_be_named_after_is_refused_with_its_image(make, tmp_path, name, reason):
    make(encode(picture(), '.jpg'))
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{GOOD}{GOOD.replace("cat", name)}</annotation>', 'odd')
    with pytest.raises(ValueError, match=f"in the annotation of 'odd': it has (a|the).*{reason}.*--labels without it"):
        convert(tmp_path, ['x', 'odd'], labels=None)
    written, problems = convert(tmp_path, ['x', 'odd'], labels=('cat',))
    assert len(written['odd'].labels) == 1
    assert 'not among the labels' in problems['odd'][0][1]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'iso-8859-1', 'gbk', 'euc-jp'])
def test_encodings_of_xml(make, tmp_path, encoding):
    text = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>\n<annotation>{SIZE}{GOOD}</annotation>'
    make(encode(picture(), '.jpg'), text.encode(encoding))
    written, problems = convert(tmp_path, ['x'])
    assert problems['x'] == []
    assert len(written['x'].labels) == 1


@pytest.mark.parametrize('image_format', images.FORMATS)
def test_storage_formats(make, tmp_path, image_format):
    make(encode(picture(), '.png'), suffix='.png')
    written, _ = convert(tmp_path, ['x'], image_format=image_format)
    found = images.decode_stored(written['x'].image, image_format, (64, 96))
    expected = images.resize(images.decode(encode(picture(), '.png')), (64, 96))
    assert np.abs(found.astype(int) - expected).mean() < (3 if image_format == 'jpeg' else 1e-9)
    description = records.read_description(str(tmp_path / 'out'))
    assert description.image_format == image_format
    with pytest.raises(ValueError, match='32 x 32'):
        images.decode_stored(written['x'].image, image_format, (32, 32))


def test_when_nothing_can_be_read_the_reasons_are_said(make, tmp_path):
    make(encode(picture(), '.jpg'))
    with pytest.raises(ValueError, match=r'2 annotations could not be read: no annotation .*x\.jpg\.xml') as caught:
        convert(tmp_path, ['x.jpg', 'y.jpg'], labels=None)
    assert 'y.jpg.xml' in str(caught.value)


def test_every_image_that_is_left_out_is_named_on_the_screen(make, tmp_path, monkeypatch):
    ids = [f'clipped{i}' for i in range(30)]
    for image_id in ids:
        make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{GOOD.replace(">11<", ">-3<")}</annotation>', image_id)
    source = voc_folder.Source(str(tmp_path / 'Annotations'), str(tmp_path / 'JPEGImages'))
    (tmp_path / 'list.txt').write_text('\n'.join([*ids, 'missing']))
    settings = Settings(
        source,
        {'all': str(tmp_path / 'list.txt')},
        str(tmp_path / 'out'),
        ('cat',),
        (64, 64),
        'stretch',
        'voc',
        'jpeg',
        95,
        False,
        0,
        1,
    )
    text = summary.format_summary(*conversion.convert(settings))
    assert 'all missing: image left out: no annotation' in text
    assert "  30 x repaired: 'cat': clipped to the image; in 30 images, such as all clipped0\n" in f'{text}\n'
    monkeypatch.setattr(summary, 'SHOWN', 0)
    assert 'and 30 more in report.json' in summary.format_summary(*conversion.convert(settings, overwrite=True))


def test_a_labels_file_with_a_mark_in_front(tmp_path):
    (tmp_path / 'names.txt').write_bytes('cat\r\ndog\n'.encode('utf-8-sig'))
    assert labels.read(str(tmp_path / 'names.txt')) == ('cat', 'dog')


def test_a_size_that_cannot_be_is_not_believed(make, tmp_path):
    for number, width in enumerate(('1e30', '99999999999999999999')):
        make(encode(picture(), '.jpg'), f'<annotation>{SIZE.replace("100", width)}{GOOD}</annotation>', str(number))
    written, problems = convert(tmp_path, ['0', '1'])
    assert {record.size for record in written.values()} == {(80, 100)}
    for [(kind, reason)] in problems.values():
        assert kind == NOTED
        assert reason == 'its <size> is not two numbers of pixels; the image was followed'


def test_a_box_that_is_nothing_when_it_is_stored_is_left_out(make, tmp_path):
    thin = f'<object><name>cat</name>{BOX.format("100.9999999999", 9, 101, 48)}</object>'
    make(encode(picture(), '.jpg'), f'<annotation>{SIZE}{thin}{GOOD}</annotation>')
    written, problems = convert(tmp_path, ['x'], anchors='kmeans:1')
    assert len(written['x'].labels) == 1
    assert problems['x'][0][0] == LEFT_OUT_BOX


def test_the_page_shows_no_image_from_elsewhere(make, tmp_path):
    (tmp_path / 'secret.jpg').write_bytes(encode(picture(), '.jpg'))
    make(encode(picture(), '.jpg'), image_id='good')
    numbers = []
    for listed in (['good'], ['../secret', 'good']):
        convert(tmp_path, listed)
        numbers.append((tmp_path / 'out/report.html').read_text().count('data:image/jpeg'))
    assert numbers[0] == numbers[1] > 0  # of the good one: an example of its class
