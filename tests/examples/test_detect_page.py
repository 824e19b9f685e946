"""examples/detect.html in a browser without a window finds what our detector finds."""

import functools
import http.server
import json
import pathlib
import queue
import re
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Callable

import grey_deployed
import numpy as np
import pytest
from conftest import ROOT
from deployed import assert_same, describe_again, draw_photos, expected, export

from yolo.data import images

pytestmark = pytest.mark.slow
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
SECONDS = 300  # for one page
# A page around the page: it gives it what the address says, or chooses files as a person does, and posts the outcome.
AROUND = """<!doctype html>
<iframe id="page"></iframe>
<script>
const { choose, ...given } = Object.fromEntries(new URLSearchParams(location.search));
const page = document.getElementById('page'), inside = id => page.contentDocument.getElementById(id);
page.onload = async () => {
  if (choose) {
    const chosen = new DataTransfer();
    for (const name of [given.photo, given.model, given.model + '.json'])
      chosen.items.add(new File([await (await fetch(name)).blob()], name.split('/').pop()));
    inside('files').files = chosen.files;
    inside('files').dispatchEvent(new Event('change'));
  }
  while (!inside('message').textContent) await new Promise(done => setTimeout(done, 50));
  const rows = [...inside('table').rows].map(row => [...row.cells].map(cell => cell.textContent));
  fetch('outcome', { method: 'POST', body: JSON.stringify({ message: inside('message').textContent, rows }) });
};
page.src = 'detect.html' + (choose ? '' : location.search);
</script>
"""


@pytest.fixture(scope='module')
def browser() -> str:
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is installed')
    return found


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> pathlib.Path:
    """A folder with the page, onnxruntime-web as npm installs it, and photos."""
    pytest.importorskip('onnx', reason='the extra [export] is not installed')
    npm = shutil.which('npm')
    if npm is None:
        pytest.skip('npm is not installed, which installs onnxruntime-web')
    folder = tmp_path_factory.mktemp('site')
    command = [npm, 'install', '--no-audit', '--no-fund', '--prefer-offline', 'onnxruntime-web@^1.30']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f'npm cannot install onnxruntime-web: {done.stderr.strip()[-200:]}')
    shutil.copy(ROOT / 'examples' / 'detect.html', folder)
    (folder / 'around.html').write_text(AROUND)
    draw_photos(folder)
    return folder


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as `python -m http.server` does; what is posted goes into a queue."""

    def __init__(self, *arguments, outcomes: queue.Queue, **options):
        self.outcomes = outcomes
        super().__init__(*arguments, **options)

    def do_POST(self):
        self.outcomes.put(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        """Prints nothing."""


@pytest.fixture
def open_page(browser, site, tmp_path):
    """Opens the page with parameters; returns its message and the detections in its table."""
    outcomes: queue.Queue = queue.Queue()
    handler = functools.partial(_Handler, directory=str(site), outcomes=outcomes)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()

        def get(**parameters: str) -> tuple[str, list[tuple[str, float, list[float]]]]:
            url = f'http://127.0.0.1:{server.server_port}/around.html?{urllib.parse.urlencode(parameters)}'
            flags = ['--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={tmp_path}']
            with open(tmp_path / 'browser.log', 'w') as log:
                process = subprocess.Popen([browser, *flags, url], stdout=log, stderr=log)
            try:
                outcome = outcomes.get(timeout=SECONDS)
            except queue.Empty:
                pytest.fail(f'the page says nothing; the browser: {(tmp_path / "browser.log").read_text()[-2000:]}')
            finally:
                process.terminate()
                process.wait()
            rows = [(label, float(score), list(map(float, sides))) for label, score, *sides in outcome['rows']]
            return outcome['message'], rows

        yield get
        server.shutdown()


Open = Callable[..., tuple[str, list[tuple[str, float, list[float]]]]]


@pytest.mark.parametrize(
    ('output', 'resize', 'photo', 'more'),
    [
        ('raw', 'letterbox', 'wide.png', {}),
        ('boxes', 'stretch', 'tall.png', {'choose': 'yes'}),
        ('detections', 'letterbox', 'tall.png', {}),
    ],
)
def test_the_page_finds_what_the_network_finds(open_page: Open, site, output, resize, photo, more):
    path = export(site / output, 'onnx', output)
    describe_again(path, resize=resize)
    message, found = open_page(model=f'{output}/model.onnx', photo=photo, **more)
    assert message.startswith(f'{len(found)} objects')
    assert len(found) > 4
    assert_same(found, expected(str(site / photo), resize), pixels=1, score=0.01)


def test_the_page_adds_the_pixel_that_darknet_leaves_out(open_page: Open, site):
    path = export(site / 'darknet', 'onnx', 'raw')
    boxes = {}
    for convention in ('voc', 'darknet'):
        describe_again(path, resize='letterbox', box_convention=convention)
        _, found = open_page(model='darknet/model.onnx', photo='wide.png')
        boxes[convention] = np.array([box for *_, box in found])
    assert len(boxes['voc']) > 4
    height, width = images.decode((site / 'wide.png').read_bytes()).shape[:2]
    expected = np.minimum(boxes['voc'] + [0, 0, 1, 1], [width, height, width, height])
    np.testing.assert_allclose(boxes['darknet'], expected, atol=0.011)  # it shows hundredths


@pytest.mark.parametrize('photo', ['wide.png', 'tall.png'])
def test_the_page_turns_photos_to_grey_for_a_grey_network(open_page: Open, site, photo):
    path = grey_deployed.export(site / 'grey', 'onnx', 'boxes')
    describe_again(path, resize='letterbox')
    _, found = open_page(model='grey/model.onnx', photo=photo)
    assert len(found) > 4
    assert_same(found, grey_deployed.expected(str(site / photo), 'letterbox'), pixels=1, score=0.01)


def test_a_missing_model_is_said(open_page: Open):
    message, found = open_page(model='none/model.onnx', photo='wide.png')
    assert re.fullmatch(r'none/model.onnx(.json)?: not found', message)
    assert found == []
