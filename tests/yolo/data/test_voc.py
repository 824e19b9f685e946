import os

import numpy as np
import pytest

from preprocess import example
from yolo.data import voc_folder, voc_xml
from yolo.data.problems import LEFT_OUT_BOX, REPAIRED


def annotation(objects: str, head: str = '') -> voc_xml.Annotation:
    return voc_xml.parse_annotation(f'<annotation>{head}{objects}</annotation>'.encode())


def thing(name='cat', box=(10, 20, 30, 40), extra='') -> str:
    sides = ''.join(f'<{side}>{value}</{side}>' for side, value in zip(voc_xml.SIDES, box, strict=True))
    return f'<object><name>{name}</name><bndbox>{sides}</bndbox>{extra}</object>'


def test_objects_parts_difficult_and_floats():
    part = '<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>'
    found = annotation(
        thing(' cat ', extra=part)
        + thing('dog', ('12.5', ' 3 ', 40, 50), '<difficult>1</difficult>')
        + thing('cow', extra='<difficult>0</difficult>')
    )
    assert found.names == ('cat', 'dog', 'cow')
    np.testing.assert_array_equal(found.boxes, [[10, 20, 30, 40], [12.5, 3, 40, 50], [10, 20, 30, 40]])
    assert found.difficult.tolist() == [False, True, False]
    assert annotation(thing(extra='<truncated>1</truncated>') + thing()).truncated.tolist() == [True, False]


def test_order_of_sides_does_not_matter():
    box = '<bndbox><ymax>4</ymax><xmax>3</xmax><ymin>2</ymin><xmin>1</xmin></bndbox>'
    found = annotation(f'<object><name>a</name>{box}</object>')
    np.testing.assert_array_equal(found.boxes, [[1, 2, 3, 4]])


def test_no_objects():
    found = annotation('')
    assert found.boxes.shape == (0, 4)
    assert found.difficult.shape == (0,)
    assert len(example.usable_objects(found, (10, 10), None).boxes) == 0


@pytest.mark.parametrize(
    ('width', 'size'),
    [('640', (48, 640)), ('640.0', (48, 640)), ('0', None), ('', None), ('inf', None), ('nan', None), ('wide', None)],
)
def test_size(width, size):
    assert annotation('', f'<size><width>{width}</width><height>48</height></size>').size == size


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_encodings(encoding):
    text = '<?xml version="1.0"?><annotation><filename>é.jpg</filename>' + thing('çat') + '</annotation>'
    found = voc_xml.parse_annotation(text.encode(encoding))
    assert (found.filename, found.names) == ('é.jpg', ('çat',))


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (b'', 'malformed'),
        (b'<annotation><object>', 'malformed'),
        (b'<html/>', '<html>'),
        (b'<?xml version="1.0" encoding="foo-8"?><annotation/>', 'unknown encoding'),
        (b'<!DOCTYPE annotation><annotation/>', 'document type'),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', 'document type'),
    ],
)
def test_bad_xml_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        voc_xml.parse_annotation(data)


def test_an_entity_bomb_is_refused_before_it_goes_off():
    entities = ''.join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 30))
    data = f'<!DOCTYPE a [<!ENTITY e0 "boom">{entities}]><annotation><filename>&e29;</filename></annotation>'
    with pytest.raises(ValueError, match='document type'):  # 10^29 booms
        voc_xml.parse_annotation(data.encode('utf-16'))


@pytest.mark.parametrize(
    ('objects', 'reasons'),
    [
        ('<object><name>a</name><name>b</name></object>', ['2 elements <name>']),
        ('<object/><object><bndbox/><bndbox/><bndbox/></object>', ['3 elements <bndbox>']),
        ('<object><name/><pose/><occluded/><difficult>1</difficult><difficult>0</difficult></object>', ['<difficult>']),
        (thing().replace('</xmax>', '</xmax><ymax>1</ymax>'), ['2 elements <ymax>']),
        (thing(extra='<difficult>2</difficult><truncated>?</truncated>'), ["<difficult> is '2'", "<truncated> is '?'"]),
        (thing(extra='<difficult/>'), ["<difficult> is ''"]),
    ],
)
def test_what_is_there_twice_or_unreadable_is_a_problem(objects, reasons):
    found = annotation(thing() + objects + thing())
    assert len(found.problems) == len(reasons)
    for (_, said), reason in zip(found.problems, reasons, strict=True):
        assert reason in said


@pytest.mark.parametrize(
    'text',
    [
        thing(extra='<pose/><occluded>0</occluded><truncated> 1 </truncated><difficult>0.0</difficult>'),
        thing(extra='<part><name>head</name></part><part><name>hand</name></part><actions/><point/>'),
        '<object><name>a</name></object><object/>',
        '<!-- <!DOCTYPE a> <name>x</name> --><owner><name>y</name></owner>' + thing(),
    ],
)
def test_good_annotations_have_no_problems(text):
    assert annotation(text, '<size><width>4</width><height>5</height></size>').problems == ()
    assert annotation(text).problems == ()  # without a size the image is asked


def test_a_document_type_is_found_behind_anything():
    for front in ('', '<?xml version="1.0"?>', '<!-- -->', ' \n', '\ufeff'):
        for encoding in ('utf-8', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32'):
            data = f'{front}<!DOCTYPE a [<!ENTITY b "c">]><annotation><filename>&b;</filename></annotation>'
            with pytest.raises(ValueError, match='document type'):
                voc_xml.parse_annotation(data.encode(encoding))


def test_any_bytes_give_an_annotation_or_a_reason():
    """3,000 annotations in 12 encodings with bytes changed, cut out, or put in twice (seeded)."""
    rng = np.random.default_rng(0)
    encodings = ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be', 'utf-32']
    encodings += ['gbk', 'shift_jis', 'big5', 'euc_jp', 'cp1252', 'hz']
    good = 0
    for i in range(3000):
        encoding = encodings[i % len(encodings)]
        size = '<size><width>64</width><height>48</height></size>'
        text = f'<annotation>{size}{thing(extra="<difficult>1</difficult>")}{thing("dog")}</annotation>'
        data = f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>{text}'.encode(encoding)
        for _ in range(rng.integers(1, 4)):
            start, end = sorted(rng.integers(0, len(data), 2))
            end = min(end, start + 40)
            part = [bytes(rng.integers(0, 256, end - start, np.uint8)), b'', 2 * data[start:end]][rng.integers(3)]
            data = data[:start] + part + data[end:]
        try:
            found = voc_xml.parse_annotation(data)
        except ValueError:
            continue
        good += 1
        num = len(found.names)
        assert found.boxes.shape == (num, 4)
        assert (len(found.difficult), len(found.truncated)) == (num, num)
    assert 20 < good < 2000  # else it was no test of both


def test_boxes_are_one_based_and_inclusive():
    whole = example.usable_objects(annotation(thing(box=(1, 1, 64, 32)) + thing(box=(17, 9, 32, 16))), (32, 64), None)
    np.testing.assert_array_equal(whole.boxes, [[0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5]])
    assert whole.boxes.dtype == np.float32
    assert not whole.problems


def test_boxes_are_not_cut_to_whole_pixels():
    found = example.usable_objects(annotation(thing(box=('174.25', 101, 349, '351.5'))), (500, 486), None)
    np.testing.assert_allclose(found.boxes, [[173.25 / 486, 100 / 500, 349 / 486, 351.5 / 500]], rtol=1e-6)


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        (thing(box=(30, 20, 30, 40)), 'no area'),
        (thing(box=(10, 40, 30, 20)), 'no area'),
        (thing(box=('nan', 20, 30, 40)), 'not numbers'),
        (thing(box=(10, 20, 'inf', 40)), 'not numbers'),
        (thing(box=('left', 20, 30, 40)), 'not numbers'),
        ('<object><name>cat</name></object>', 'not numbers'),
        (thing(box=(201, 20, 230, 40)), 'outside'),
        (thing(box=(-30, 20, -10, 40)), 'outside'),
        (thing('bird'), 'not among the labels'),
        (thing(''), 'no name'),
    ],
)
def test_unusable_boxes_are_left_out_with_the_reason(bad, reason):
    found = example.usable_objects(annotation(thing() + bad + thing('dog')), (100, 200), frozenset({'cat', 'dog'}))
    assert found.names == ('cat', 'dog')
    assert found.boxes.shape == (2, 4)
    [(kind, said)] = found.problems
    assert kind == LEFT_OUT_BOX
    assert reason in said
    assert said.startswith('object 2 ')


def test_clipping_is_a_repair():
    found = example.usable_objects(annotation(thing(box=(-9, 51, 240, 90))), (100, 200), None)
    np.testing.assert_allclose(found.boxes, [[0, 0.5, 1, 0.9]])
    [(kind, said)] = found.problems
    assert kind == REPAIRED
    assert '200 x 100' in said


def test_lists_with_and_without_flags(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes('\ufeffa\r\n\r\n  two words\nimage 1\n  \na\n'.encode())
    assert voc_folder.read_split(str(path)) == [
        'a',
        'two words',
        'image 1',
        'a',
    ]  # a number is a flag if every line has one
    path.write_bytes('\ufeffa  1\r\n\r\nb -1\nc\t0\ntwo words 1\na  1'.encode())
    assert voc_folder.read_split(str(path)) == ['a', 'b', 'c', 'two words', 'a']


def test_bad_lists_are_named(tmp_path, monkeypatch):
    (tmp_path / 'empty.txt').write_text('\n \n')
    assert voc_folder.read_split(str(tmp_path / 'empty.txt')) == []
    with pytest.raises(ValueError, match=r'nope\.txt; this folder has empty\.txt'):
        voc_folder.read_split(str(tmp_path / 'nope.txt'))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'nope\.txt; this folder has empty\.txt'):
        voc_folder.read_split('nope.txt')
    os.mkfifo(tmp_path / 'pipe.txt')
    with pytest.raises(ValueError, match=r'pipe\.txt cannot be read: it is not a regular file'):
        voc_folder.read_split(str(tmp_path / 'pipe.txt'))
    (tmp_path / 'binary.txt').write_bytes(b'\xff\xfe\xfa')
    with pytest.raises(ValueError, match=r'binary\.txt is not a list'):
        voc_folder.read_split(str(tmp_path / 'binary.txt'))


def test_images_are_found_by_id_then_by_filename_and_only_in_their_folder(tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('a.jpg', 'a.png', 'b.jpeg', 'c.png', 'other.bmp'):
        (folder / name).write_bytes(b'x')
    (tmp_path / 'secret.jpg').write_bytes(b'x')
    source = voc_folder.Source(str(tmp_path), str(folder))
    for image_id, name, found in (
        ('a', '', 'a.jpg'),
        ('b', '', 'b.jpeg'),
        ('c', 'other.bmp', 'c.png'),
        ('d', 'other.bmp', 'other.bmp'),
        ('d', r'C:\x\other.bmp', 'other.bmp'),
    ):
        assert voc_folder.find_image(source, image_id, name) == str(folder / found)
    for name in ('', '..', '../secret.jpg', str(tmp_path / 'secret.jpg')):
        with pytest.raises(ValueError, match=r'no image d\.jpg'):
            voc_folder.find_image(source, 'd', name)
    for image_id in ('../secret', '/etc/passwd', 'a/../../secret'):
        with pytest.raises(ValueError, match='leads out of'):
            voc_folder.read_annotation(source, image_id)
