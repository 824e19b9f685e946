"""examples/detect.html in a browser without a window finds what our detector finds."""

import functools
import html
import http.server
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.parse

import pytest
from conftest import ROOT
from deployed import assert_same, describe_again, draw_photos, expected, export

pytestmark = pytest.mark.slow
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
MODULES = 'node_modules'


@pytest.fixture(scope='module')
def browser() -> str:
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        pytest.skip(f'no browser: none of {", ".join(BROWSERS)} is installed')
    return found


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> pathlib.Path:
    """A folder with the page, onnxruntime-web as npm installs it, and a photo."""
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
    draw_photos(folder)
    return folder


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Prints nothing."""


@pytest.fixture(scope='module')
def address(site):
    """Where the folder is served, as `python -m http.server` does."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}/detect.html'
        server.shutdown()
        thread.join()


def open_page(browser: str, address: str, folder: pathlib.Path, **parameters: str) -> str:
    """The text of the page when it has worked for a minute of the browser's own time, which passes in seconds."""
    flags = ['--headless', '--no-sandbox', '--disable-gpu', f'--user-data-dir={folder}', '--virtual-time-budget=60000']
    url = f'{address}?{urllib.parse.urlencode(parameters)}'
    command = [browser, *flags, '--dump-dom', url]
    done = subprocess.run(command, capture_output=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:].decode()
    return done.stdout.decode('utf-8')


def read_table(text: str) -> list[tuple[str, float, list[float]]]:
    """The detections in the table of the page."""
    rows = [re.findall('<td>(.*?)</td>', row) for row in re.findall('<tr>(.*?)</tr>', text)]
    return [(html.unescape(label), float(score), [float(side) for side in sides]) for label, score, *sides in rows]


@pytest.mark.parametrize(
    ('output', 'resize', 'photo'),
    [('raw', 'letterbox', 'wide.png'), ('boxes', 'stretch', 'tall.png'), ('detections', 'letterbox', 'tall.png')],
)
def test_the_page_finds_what_the_network_finds(browser, site, address, tmp_path, output, resize, photo):
    path = export(site / output, 'onnx', output)
    describe_again(path, resize=resize)
    text = open_page(browser, address, tmp_path, model=f'{output}/model.onnx', photo=photo)
    found = read_table(text)
    assert f'{len(found)} objects' in text
    assert len(found) > 4
    assert_same(found, expected(str(site / photo), resize), pixels=1, score=0.01)


def test_a_missing_model_is_said(browser, address, tmp_path):
    text = open_page(browser, address, tmp_path, model='none/model.onnx', photo='wide.png')
    assert re.search(r'none/model.onnx(.json)?: not found', text)
    assert read_table(text) == []
