"""Charts of where objects are in the image and how large they are, as SVG text: see `plots`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolo.pages import plots

ROW, ROW_OF_MANY = 18, 13  # pixels of a class
MANY = 30  # classes


def plane(counts: np.ndarray, size: tuple[int, int], name: str) -> str:
    """Objects by the place of their centre (R, C), row by row from the top left; size: height, width in pixels."""

    def draw(axes: Any) -> None:
        edges = [np.linspace(0, side, number + 1) for side, number in zip(size, counts.shape, strict=True)]
        mesh = axes.pcolormesh(edges[1], edges[0], counts, cmap='viridis', vmin=0, rasterized=True)
        axes.set(aspect='equal', xlabel='x in pixels', ylabel='y in pixels')
        axes.invert_yaxis()
        axes.figure.colorbar(mesh, ax=axes, label=name)

    return plots.svg(draw, plots.WIDTH, plots.WIDTH * 4 // 5)


def sizes_by_class(
    counts: np.ndarray, edges: np.ndarray, names: Sequence[str], marks: Mapping[str, float], x_name: str
) -> str:
    """A row a class, a column a bin, darker where more of the class's own objects are; edges on a logarithmic axis.

    counts (C, bins); edges (bins + 1,); marks: name -> x of a dashed line.
    """
    row = ROW if len(names) <= MANY else ROW_OF_MANY
    shares = counts / np.maximum(counts.max(1, keepdims=True, initial=1), 1)

    powers = np.log2(edges)

    def draw(axes: Any) -> None:
        axes.pcolormesh(powers, np.arange(len(names) + 1), shares, cmap='Blues', vmin=0, vmax=1, rasterized=True)
        letters = 8 if row == ROW else 7
        axes.set_yticks(np.arange(len(names)) + 0.5, [plots.short(name) for name in names], fontsize=letters)
        axes.tick_params(axis='y', length=0)
        whole = np.arange(np.ceil(powers[0]), powers[-1] + 0.01)
        axes.set_xticks(whole, [f'{2**power:g}' for power in whole])
        axes.set_xlabel(x_name)
        axes.invert_yaxis()
        for name, x in marks.items():
            axes.axvline(np.log2(x), color=plots.COLOURS[1], linestyle='--', linewidth=1)
            place = (np.log2(x), 1), (2, 2), ('data', 'axes fraction'), 'offset points'
            axes.annotate(name, *place, color=plots.COLOURS[1])

    return plots.svg(draw, plots.WIDTH, 80 + row * max(len(names), 1))
