import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import zipfile

import numpy as np
import pytest
from conftest import ROOT
from spoiled_case import IMAGES, made

from yolo.data import voc_xml
from yolo.evaluation import corrections, suspects, suspects_page
from yolo.evaluation.suspects import BOX, CLASS, KINDS, MISSING

SCRIPT = ROOT / 'yolo/pages/templates/suspects.js'


def pictures(numbers):
    image = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
    return {number: (image, (200, 200)) for number in numbers if number != 3}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """The evaluation, 60 suspects, and the text of the page and of the table."""
    folder = tmp_path_factory.mktemp('page')
    result, _ = made()
    found = suspects.find(result, 60)
    path = suspects_page.write(str(folder), 'Suspects', result, found, pictures)
    return result, found, pathlib.Path(path).read_text(), (folder / suspects_page.TABLE).read_text()


def data_of(text):
    """What the page holds for its script."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_no_name_leaves_its_place_in_the_page(written):
    result, found, text, _ = written
    assert len(re.findall('<script', text)) == len(re.findall('</script', text)) == 2
    assert 'alert(1)</script>' not in text
    assert '<b>image' not in text
    assert 'http' not in text
    assert data_of(text)['images'][0]['id'] == result.image_ids[found.images.min()]
    assert len(text) < 60 * 100_000


def test_the_page_holds_the_annotations_and_the_proposals(written):
    result, found, text, _ = written
    described = data_of(text)
    sizes = {number: (200, 200) for number in range(IMAGES) if number != 3}
    assert described == corrections.describe(result, found, sizes)
    assert len(re.findall('type="checkbox"', text)) == len(found.images) > 30
    for s, suspect in enumerate(described['suspects']):
        image = described['images'][suspect['image']]
        t, d, kind = found.objects[s], found.detections[s], KINDS[found.kinds[s]]
        assert image['id'] == result.image_ids[found.images[s]]
        if t >= 0:
            assert image['objects'][suspect['object']]['box'] == result.truth.boxes[t].tolist()
        if kind in (MISSING, CLASS):
            assert suspect['name'] == result.classes[result.detections.classes[d]]
        if kind in (MISSING, BOX):
            np.testing.assert_array_equal(suspect['box'], np.rint(result.detections.boxes[d]))


def test_the_page_says_what_the_corrected_files_do_not_hold(written):
    text = ' '.join(written[2].split())
    assert 'objects that preprocessing left out or dropped, and ignore regions are not in the corrected files' in text
    assert 'Names are those that <code>--label_map</code> made' in text


def test_the_table_has_a_row_for_each_suspect(written):
    result, found, _, table = written
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row['reason'] for row in rows] == list(found.reasons)
    assert [row['image'] for row in rows] == [result.image_ids[number] for number in found.images]
    assert [row['kind'] for row in rows] == [KINDS[kind] for kind in found.kinds]


def test_corrections_of_one_image_go_into_one_file():
    described = {
        'images': [
            {
                'id': 'a',
                'width': 50,
                'height': 40,
                'objects': [
                    {'name': 'cat', 'difficult': 0, 'box': [1, 2, 3, 4]},
                    {'name': 'dog', 'difficult': 1, 'box': [5, 6, 7.5, 8]},
                    {'name': 'dog', 'difficult': 0, 'box': [9, 9, 12, 12]},
                ],
            }
        ],
        'suspects': [
            {'image': 0, 'object': 0, 'name': None, 'box': None},
            {'image': 0, 'object': None, 'name': 'bird <&>', 'box': [10, 10, 20, 20]},
            {'image': 0, 'object': 2, 'name': 'cat', 'box': [9, 9, 12, 12]},
        ],
    }
    objects = corrections.correct(described, [2, 1, 0])['a']
    read = voc_xml.parse_annotation(corrections.format_xml(described['images'][0], objects))
    assert read.names == ('dog', 'cat', 'bird <&>')
    assert read.boxes.tolist() == [[5, 6, 7.5, 8], [9, 9, 12, 12], [10, 10, 20, 20]]
    assert read.difficult.tolist() == [True, False, False]
    assert read.size == (40, 50)
    assert described['images'][0]['objects'][0]['name'] == 'cat'  # as it was


@pytest.mark.skipif(not shutil.which('node'), reason='runs the script of the page in Node.js, which is not installed')
def test_the_script_writes_the_zip_that_python_would_write(written, tmp_path):
    described = data_of(written[2])
    chosen = list(range(0, len(written[1].images), 2))
    program = f"""{SCRIPT.read_text()}
const described = JSON.parse(require('fs').readFileSync('data.json'));
const parts = makeZip(correctedFiles(described, {chosen}));
require('fs').writeFileSync('out.zip', Buffer.concat(parts.map((part) => Buffer.from(part))));"""
    (tmp_path / 'data.json').write_text(json.dumps(described))
    subprocess.run(['node', '-e', program], cwd=tmp_path, check=True, timeout=60)
    of_id = {image['id']: image for image in described['images']}
    with zipfile.ZipFile(tmp_path / 'out.zip') as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    expected = corrections.correct(described, chosen)
    assert files == {f'{name}.xml': corrections.format_xml(of_id[name], objects) for name, objects in expected.items()}
