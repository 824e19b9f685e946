"""Pages from templates: each is one file that needs no network."""

import base64
from typing import Any

import numpy as np

from yolo import storage
from yolo.data import images


def write(path: str, template: str, **values: Any) -> None:
    """Writes the page that a file of `templates/` makes of some values; text in them is escaped.

    Generators among the values are drawn from as the page is written, so that not all pictures are in memory at once.
    """
    import jinja2  # only where a page is written

    loader = jinja2.PackageLoader('yolo.pages')
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    with storage.writer(path) as file:
        for part in environment.get_template(template).generate(**values):
            file.write(part.encode())


def picture(image: np.ndarray | None, width: int = 180, height: int = 120) -> str:
    """An image (H, W, 3) uint8 BGR, shrunk into that many pixels, as a data URL; empty for None."""
    if image is None:
        return ''
    small = images.shrink(image, width, height)
    return f'data:image/jpeg;base64,{base64.b64encode(images.encode_bgr_jpeg(small, 80)).decode()}'
