"""XML in the encodings that annotation programs write, with and without marks and declarations."""

import numpy as np
import pytest

from yolo.data import voc_xml

NAMES = {
    'gbk': '猫',
    'gb2312': '猫',
    'gb18030': '猫',
    'big5': '貓',
    'shift_jis': '猫〜',
    'euc-jp': '猫',
    'euc-kr': '고양이',
    'windows-1251': 'кот',
    'iso-8859-2': 'kočka',
    'utf-8': '猫',
}
WIDE = ('utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be')


def xml(name: str, encoding: str = '') -> str:
    declared = f'<?xml version="1.0" encoding="{encoding}"?>\n' if encoding else ''
    box = '<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>'
    return f'{declared}<annotation><object><name>{name}</name>{box}</object></annotation>'


@pytest.mark.parametrize(('encoding', 'name'), NAMES.items())
def test_a_declared_encoding_is_read(encoding, name):
    for spelling in (encoding, encoding.upper()):
        found = voc_xml.parse_annotation(xml(name, spelling).encode(encoding))
        assert found.names == (name,)
        np.testing.assert_array_equal(found.boxes, [[1, 2, 3, 4]])


@pytest.mark.parametrize('codec', WIDE)
@pytest.mark.parametrize('declared', ['', 'utf-16', 'UTF-16LE', 'utf-8'])
def test_two_and_four_bytes_a_letter_are_read_without_a_mark(codec, declared):
    assert voc_xml.parse_annotation(xml('猫', declared).encode(codec)).names == ('猫',)
    assert voc_xml.parse_annotation(f'\n {xml("猫")}'.encode(codec)).names == ('猫',)


@pytest.mark.parametrize('codec', ['utf-16', 'utf-32', 'utf-8-sig'])
@pytest.mark.parametrize('declared', ['', 'utf-16', 'utf-8'])
def test_a_mark_decides(codec, declared):
    assert voc_xml.parse_annotation(xml('猫', declared).encode(codec)).names == ('猫',)


def test_letters_that_only_the_larger_encoding_has_are_read():
    assert voc_xml.parse_annotation(xml('镕', 'gb2312').encode('gb18030')).names == ('镕',)
    assert voc_xml.parse_annotation(xml('①', 'Shift_JIS').encode('cp932')).names == ('①',)


@pytest.mark.parametrize('name', ['utf8', 'UTF8', 'utf_8', 'U8'])
def test_utf_8_by_its_other_names(name):
    assert voc_xml.parse_annotation(xml('猫', name).encode()).names == ('猫',)


def test_a_text_of_one_byte_a_letter_that_says_utf_16_is_utf_8():
    assert voc_xml.parse_annotation(xml('猫', 'utf-16').encode()).names == ('猫',)


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        (xml('狗').encode('gbk'), r'letters that are not UTF-8, at byte 26: name their encoding'),
        (xml('猫', 'gbk').encode()[:-1] + b'\xff', 'not GB18030, at byte'),
        (xml('猫', 'euc-jp').encode('shift_jis'), 'not EUC_JP, at byte'),
        (xml('猫', 'ascii').encode(), 'not ASCII, at byte'),
        (xml('猫').encode('utf-16-le')[:-1], 'not UTF-16-LE'),
        (xml('a', 'foo-8').encode(), 'unknown encoding foo-8'),
        (xml('a', 'zlib').encode(), 'unknown encoding zlib'),
        (xml('a', 'rot13').encode(), 'unknown encoding rot13'),
        (xml('a', 'unicode_escape').encode(), 'not an encoding of files'),
        (xml('a', 'utf-7').encode(), 'not an encoding of files'),
        (xml('a', 'idna').encode(), 'not an encoding of files'),
    ],
)
def test_what_is_in_no_such_encoding_is_refused_with_its_place(data, reason):
    with pytest.raises(ValueError, match=reason):
        voc_xml.parse_annotation(data)


@pytest.mark.parametrize('codec', [*NAMES, *WIDE])
def test_document_types_are_refused_in_every_encoding(codec):
    text = f'<?xml version="1.0" encoding="{codec}"?><!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    with pytest.raises(ValueError, match='document type'):
        voc_xml.parse_annotation(text.encode(codec))


def test_whatever_the_bytes_only_an_annotation_or_a_value_error_comes_out():
    random = np.random.default_rng(0)
    whole = [xml(name, codec).encode(codec) for codec, name in NAMES.items()]
    whole += [xml('猫', 'utf-16').encode(codec) for codec in (*WIDE, 'utf-16', 'utf-32')]
    outcomes = set()
    for _ in range(3000):
        data = bytearray(whole[random.integers(len(whole))])
        for _ in range(random.integers(1, 6)):
            data[random.integers(len(data))] = random.integers(256)
        if random.random() < 0.2:
            del data[random.integers(len(data)) :]
        try:
            outcomes.add(type(voc_xml.parse_annotation(bytes(data))))
        except ValueError:
            outcomes.add(ValueError)
    assert outcomes == {voc_xml.Annotation, ValueError}
