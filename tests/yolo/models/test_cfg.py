"""Darknet's .cfg files: what is read and written, and what is refused, by file and line."""

import dataclasses

import numpy as np
import pytest
from conftest import DATA

import yolo
from yolo.models import architectures, cfg, spec
from yolo.models.spec import Convolution, Network, Region, Route

GOLDEN = DATA / 'darknet'
NAMES = ('yolov2-w16', 'yolov2-tiny-w16')


@pytest.mark.parametrize('name', architectures.MODELS)
def test_a_name_and_its_cfg_are_the_same_network(name):
    network = architectures.build_spec(name, 20, np.ones((5, 2)) * [1.5, 2.25])
    again = cfg.parse(cfg.write(network))
    assert (again, again.box_convention) == (network, network.box_convention)
    assert architectures.num_backbone_convolutions(network) == {'yolov2': 18, 'yolov2-tiny': 7}[name]
    assert sum(spec.num_weights(network)) == {'yolov2': 50_676_061, 'yolov2-tiny': 15_867_885}[name]


@pytest.mark.parametrize('name', NAMES)
def test_the_golden_networks_are_those_of_build_model(name):
    theirs = cfg.read(str(GOLDEN / f'{name}.cfg'))
    region = theirs.region
    ours = architectures.build_spec(
        name.removesuffix('-w16'), region.classes, region.anchors, 1 / 16, theirs.image_size
    )
    strip = [dataclasses.replace(section, options=()) for section in theirs.sections]
    assert strip == [dataclasses.replace(section, options=()) for section in ours.sections]


HEAD = '[net]\nwidth=64\nheight=64\n'
CONV = '[convolutional]\nfilters=12\nsize=1\nactivation=linear\n'
REGION = '[region]\nanchors=1,1, 2,2\nnum=2\nclasses=1\nsoftmax=1\n'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'no sections'),
        ('hello', r':1: .hello. is not \[section\]'),
        (CONV, r':1: the section \[convolutional\]'),
        (HEAD, r'no sections after \[net\]'),
        ('[net]\nwidth=64\n' + CONV, r'has no height'),
        (HEAD + CONV.replace('12', '-3'), r':5: \[convolutional\] filters=-3: not a whole number from 1'),
        (HEAD + CONV.replace('12', '1e9'), r'filters=1e9: not a whole'),
        (HEAD + CONV.replace('12', '65536') * 2, 'more than the'),
        (HEAD + CONV.replace('12', '65537'), r':5: .*filters=65537: not a whole number from 1 to 65,536'),
        (HEAD + CONV + '[maxpool]\nsize=64\nstride=1\n', r':9: .*size=64: not a whole number from 1 to 63'),
        (HEAD + CONV + f'[route]\nlayers={",".join(["-1"] * 101)}\n', r':9: \[route\] has 101 layers; at most 100'),
        (HEAD.replace('64', '16384') + CONV, r':4: \[convolutional\] gives 16384 x 16384 x 12 numbers an image'),
        (HEAD + CONV * 301, r'301 sections; a network has at most 300'),
        (HEAD + CONV + '[shortcut]\nfrom=-1\n', r':8: the section \[shortcut\] is not understood'),
        (HEAD + CONV + '[net]\n', r':8: the section \[net\] is not understood here'),
        (HEAD + CONV + 'dilation=2\n', r':8: \[convolutional\] dilation=2: this option is not understood'),
        (HEAD + CONV + 'groups=2\n', r':8: .*groups=2: only groups=1'),
        (HEAD + CONV.replace('linear', 'mish'), r':7: .*activation=mish: not one of linear, leaky'),
        (HEAD + CONV + 'filters=3\n', 'filters is there twice'),
        (HEAD + CONV + '[route]\nlayers=-2\n', r':8: \[route\] layer -1 does not exist'),
        (HEAD + CONV + '[route]\nlayers=7\n', r'layer 7 does not exist'),
        (HEAD + CONV + '[route]\nlayers=-1,x\n', r':9: \[route\] layers=-1,x'),
        (HEAD + CONV + '[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1,-2\n', r':11: .*64 x 64.*|.*32 x 32'),
        (HEAD + CONV + '[reorg]\nstride=3\n', r':8: .*cannot be reordered'),
        (HEAD + CONV + '[reorg]\nstride=2\nreverse=1\n', r':10: .*reverse=1'),
        (
            HEAD + CONV.replace('12', '13') + REGION,
            r':8: .*2 anchors and 1 classes need 12 filters before them, not 13',
        ),
        (HEAD + CONV + REGION.replace('num=2', 'num=3'), r'not the 2 x num=3 numbers'),
        (HEAD + CONV + REGION.replace('softmax=1', 'softmax=0'), 'only softmax=1'),
        (HEAD + CONV + REGION + 'tree=t.tree\n', r'tree=t.tree'),
        (HEAD + CONV + REGION + CONV, 'must be the last'),
        (HEAD + CONV.replace('size=1', 'size=33').replace('filters=12', 'filters=12\nstride=2') * 2, 'nothing is left'),
    ],
)
def test_cfgs_that_are_not_understood_are_refused_by_line(text, message, tmp_path):
    path = tmp_path / 'x.cfg'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        yolo.load_darknet(str(path))


def test_a_good_cfg_is_read():
    expected = Network(
        (
            Convolution(12, 1, padding=0, norm=False, activation='linear'),
            Route((-1,)),
            Region(((1.0, 1.0), (2.0, 2.0)), 1, (('jitter', '.3'),)),
        ),
        (64, 64),
    )
    text = HEAD + '; note\n' + CONV + '[route]\nlayers = 0\n' + REGION + 'jitter=.3\n'
    assert cfg.parse(text) == expected


def test_a_cfg_that_is_no_text_or_too_long_is_refused(tmp_path):
    path = tmp_path / 'x.cfg'
    path.write_bytes(b'\xff\xfe\0')
    with pytest.raises(ValueError, match='not a text'):
        cfg.read(str(path))
    with open(path, 'wb') as file:
        file.truncate(10 << 30)
    with pytest.raises(ValueError, match=r'that is not a \.cfg'):
        cfg.read(str(path))
