"""Plots as SVG and the look of pages: plain text that needs no library and no network."""

import base64
import html
from collections.abc import Sequence

import numpy as np

from yolo.data import images

WIDTH, HEIGHT, MARGIN = 440, 260, 44  # pixels of a plot
COLOURS = ('#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b', '#e377c2', '#7f7f7f', '#bcbd22', '#17becf')
DASHES = ('none', '6 3', '2 2', '8 2 2 2')  # of the first ten lines, the next ten ...
ROW, MOST_LETTERS = 15, 55  # pixels of a row of text; letters that fit below a plot
STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 66em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse } td, th { padding: .15em .8em; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
.plots, .images { display: flex; flex-wrap: wrap; gap: 1.2em } figure { margin: 0 }
figcaption { font-size: .85em; overflow-wrap: anywhere }
.images figure { width: 180px }
.images img, .none { width: 180px; height: 120px; object-fit: contain; background: #eee }
.none { line-height: 120px; text-align: center; color: #888 } text { font-size: 11px; fill: #444 }
"""


def page_head(title: str, picture_width: int = 180) -> str:
    """The beginning of a page, up to its body; picture_width: pixels of the images in galleries."""
    style = STYLE.replace('180px', f'{picture_width}px').replace('120px', f'{picture_width * 2 // 3}px')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{style}</style>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body><h1>{html.escape(title)}</h1>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts; the first column is to the left."""
    lines = [''.join(f'<th>{html.escape(name)}</th>' for name in head)]
    lines += [''.join(f'<td>{html.escape(cell)}</td>' for cell in row) for row in rows]
    return '<table>' + ''.join(f'<tr>{line}</tr>' for line in lines) + '</table>'


def figure(content: str, caption: str) -> str:
    """A plot or picture with its caption, which is HTML."""
    return f'<figure>{content}<figcaption>{caption}</figcaption></figure>'


def svg(parts: Sequence[str], width: int = WIDTH, height: int = HEIGHT) -> str:
    """The plot that is made of these elements."""
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def bars(names: Sequence[str], values: Sequence[float], more: Sequence[float] = ()) -> str:
    """A bar for each value, its name below and its value above; `more`: values that stand on top of the first ones.

    Where the names have no room below, the bars lie, one below the other.
    """
    if not more and len(names) * max(map(len, names), default=0) > MOST_LETTERS:
        return _lying_bars(names, values)
    above = list(more) or [0] * len(values)
    step = (WIDTH - 2 * MARGIN) / max(len(values), 1)
    most = max([*(a + b for a, b in zip(values, above, strict=True)), 1e-9])
    parts = [f'<line x1="{MARGIN}" y1="{HEIGHT - MARGIN}" x2="{WIDTH - MARGIN}" y2="{HEIGHT - MARGIN}" stroke="#888"/>']
    for i, (name, *pair) in enumerate(zip(names, values, above, strict=True)):
        x, y = MARGIN + i * step, float(HEIGHT - MARGIN)
        for value, colour in zip(pair, COLOURS, strict=False):
            height = max(value, 0) / most * (HEIGHT - 2 * MARGIN)
            y -= height
            parts.append(
                f'<rect x="{x + step * 0.08:.1f}" y="{y:.1f}" width="{step * 0.84:.1f}" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
        middle = x + step / 2
        parts.append(
            f'<text x="{middle:.1f}" y="{HEIGHT - MARGIN + 14}" text-anchor="middle">{html.escape(name)}</text>'
        )
        if not more:
            parts.append(f'<text x="{middle:.1f}" y="{y - 4:.1f}" text-anchor="middle">{_shown(pair[0])}</text>')
    return svg(parts)


def _lying_bars(names: Sequence[str], values: Sequence[float]) -> str:
    """A bar for each value, to the right of its name."""
    left, most = 8 + 6.5 * min(max(map(len, names)), 30), max([*values, 1e-9])
    parts = []
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        y, length = 8 + i * ROW, max(value, 0) / most * (WIDTH - left - 60)
        parts.append(
            f'<text x="{left - 5:.1f}" y="{y + 11}" text-anchor="end">{html.escape(_short(name, 30))}</text>'
            f'<rect x="{left:.1f}" y="{y + 1}" width="{length:.1f}" height="{ROW - 3}" fill="{COLOURS[0]}"/>'
            f'<text x="{left + length + 4:.1f}" y="{y + 11}">{_shown(value)}</text>'
        )
    return svg(parts, WIDTH, 16 + ROW * len(names))


def _shown(value: float) -> str:
    return f'{value:,}' if isinstance(value, int) else f'{value:.3f}'


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + '…'


def curves(lines: dict[str, tuple[np.ndarray, np.ndarray]], x_name: str, y_name: str) -> str:
    """Lines through points x, y in 0..1, each with its colour and dashes, and a legend of their names to the right."""
    width, height = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN + 20
    bottom = HEIGHT - MARGIN
    parts = [
        f'<rect x="{MARGIN}" y="{bottom - height}" width="{width}" height="{height}" fill="#f7f7f7" stroke="#bbb"/>'
    ]
    for tick in np.linspace(0, 1, 6):
        x, y = MARGIN + tick * width, bottom - tick * height
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:.1f}</text>'
            f'<text x="{MARGIN - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:.1f}</text>'
        )
    parts.append(
        f'<text x="{MARGIN + width / 2}" y="{HEIGHT - 14}" text-anchor="middle">{html.escape(x_name)}</text>'
        f'<text x="{MARGIN}" y="{bottom - height - 6}">{html.escape(y_name)}</text>'
    )
    for number, (name, (xs, ys)) in enumerate(lines.items()):
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        points = ' '.join(f'{MARGIN + x * width:.1f},{bottom - y * height:.1f}' for x, y in zip(xs, ys, strict=True))
        style = f'fill="none" stroke="{colour}" stroke-width="1.5" stroke-dasharray="{dashes}"'
        x, y = WIDTH - MARGIN + 10, 14 + ROW * number
        parts.append(
            f'<polyline points="{points}" {style}/><polyline points="{x},{y} {x + 18},{y}" {style}/>'
            f'<text x="{x + 23}" y="{y + 4}">{html.escape(_short(name, 22))}</text>'
        )
    longest = min(max(map(len, lines), default=0), 22)
    return svg(parts, WIDTH - MARGIN + 38 + 7 * longest, max(HEIGHT, 14 + ROW * len(lines)))


def picture(image: np.ndarray | None, width: int = 180, height: int = 120) -> str:
    """An image (H, W, 3) uint8 BGR, shrunk into that many pixels, inside of the page; None for none."""
    if image is None:
        return '<div class="none">no image</div>'
    small = images.shrink(image, width, height)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(images.encode_bgr_jpeg(small, 80)).decode()}">'
