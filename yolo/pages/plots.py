"""Charts as SVG text, drawn by matplotlib, which is imported when the first one is drawn.

The same data gives the same bytes. Names are drawn as they are: no mathematics in `$`, and escaped as XML asks for.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

WIDTH, HEIGHT = 460, 280  # CSS pixels of a chart
COLOURS = ('#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b', '#e377c2', '#17becf', '#bcbd22', '#555')
MOST_COLOURED = len(COLOURS)  # lines of a chart
MOST_COLUMNS_WITH_NUMBERS = 22  # of a heat map
MOST_WITH_LARGE_NUMBERS = 12  # columns
LONGEST_NAME = 24
MOST_LETTERS = 48  # of names side by side below a chart
STYLE: dict[Any, Any] = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'yolo',
    'text.parse_math': False,
    'font.size': 8,
    'font.sans-serif': ['DejaVu Sans', 'sans-serif'],
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#888',
    'axes.axisbelow': True,
    'grid.color': '#ddd',
}
NO_METADATA: dict[str, Any] = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))  # a date would change the bytes


def bars(names: Sequence[str], values: Sequence[float], x_name: str = '') -> str:
    """A horizontal bar for each value, the first one at the top, with the value at its end."""

    def draw(axes: Any) -> None:
        drawn = axes.barh(range(len(values)), values, color=COLOURS[0])
        axes.set_yticks(range(len(values)), [short(name) for name in names])
        axes.bar_label(drawn, [_format(value) for value in values], padding=3)
        axes.set_xlim(0, max([*values, 1e-9]) * 1.2)
        axes.invert_yaxis()
        axes.set_xlabel(x_name)
        axes.grid(axis='x')

    return svg(draw, height=70 + 22 * max(len(values), 1))


def columns(names: Sequence[str], values: Sequence[float], x_name: str, y_name: str, line: float | None = None) -> str:
    """A vertical bar for each value, with the value above; line: a level to draw across."""

    def draw(axes: Any) -> None:
        drawn = axes.bar(range(len(values)), values, color=COLOURS[0], width=0.9)
        is_crowded = sum(map(len, names)) > MOST_LETTERS
        axes.set_xticks(range(len(values)), names, rotation=40 if is_crowded else 0)
        letters = 7 if len(values) <= MOST_WITH_LARGE_NUMBERS else 5.5
        axes.bar_label(drawn, [_format(value) for value in values], padding=2, fontsize=letters)
        axes.set(xlabel=x_name, ylabel=y_name)
        axes.margins(y=0.15)
        if line is not None:
            axes.axhline(line, color=COLOURS[1], linestyle='--', linewidth=1)

    return svg(draw)


def curves(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]], emphasised: Sequence[str], x_name: str, y_name: str
) -> str:
    """Lines through points x, y in 0..1: the emphasised ones in colours, with their names; the others in light grey."""

    def draw(axes: Any) -> None:
        for name in [name for name in lines if name not in emphasised]:
            axes.plot(*lines[name], color='#ccc', linewidth=0.6)
        for number, name in enumerate(name for name in emphasised if name in lines):
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(*lines[name], color=colour, linewidth=1.3, label=_as_label(name))
        axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel=x_name, ylabel=y_name)
        axes.grid()
        if any(name in lines for name in emphasised):
            axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False)

    return svg(draw, height=HEIGHT + 60 + 9 * len(emphasised))


def heat_map(
    shares: np.ndarray, numbers: np.ndarray, row_names: Sequence[str], column_names: Sequence[str], names: Sequence[str]
) -> str:
    """A table as a picture: shares (R, C) 0..1 as colours, numbers (R, C) in the cells where these have room.

    names: of the rows' axis and of the columns' axis.
    """
    num_rows, num_columns = shares.shape
    cell = int(np.clip(620 / num_columns, 9, 46))
    letters = 7.5 if cell > 14 else 5.5
    has_numbers = num_columns <= MOST_COLUMNS_WITH_NUMBERS

    def draw(axes: Any) -> None:
        axes.pcolormesh(shares, cmap='Blues', vmin=0, vmax=1, rasterized=True)
        axes.set_xticks(np.arange(num_columns) + 0.5, [short(n) for n in column_names], rotation=90, fontsize=letters)
        axes.set_yticks(np.arange(num_rows) + 0.5, [short(n) for n in row_names], fontsize=letters)
        axes.set(aspect='equal', ylabel=names[0], xlabel=names[1])
        axes.tick_params(length=0)
        axes.invert_yaxis()
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position('top')
        for row, column in np.argwhere(numbers > 0).tolist() if has_numbers else []:
            colour = 'white' if shares[row, column] > 0.5 else '#222'
            text, place = _compact(int(numbers[row, column])), (column + 0.5, row + 0.52)
            axes.text(*place, text, color=colour, ha='center', va='center', fontsize=7 if cell > 32 else 6)

    margin = 50 + 6 * min(max(map(len, [*row_names, *column_names])), LONGEST_NAME)
    return svg(draw, margin + cell * num_columns, margin + cell * num_rows)


def strips(panels: Mapping[str, np.ndarray], names: Sequence[str], x_range: tuple[float, float], x_name: str) -> str:
    """Histograms of many classes side by side: a row a class, a column a bin, darker where more are.

    panels: counts (C, bins) by title; x_range: first and last edge of the bins.
    """
    row = 16 if len(names) <= 30 else 9
    high = max([1, *(int(counts.max(initial=0)) for counts in panels.values())])

    def draw(*all_axes: Any) -> None:
        for axes, (title, counts), colours in zip(all_axes, panels.items(), ('Blues', 'Reds'), strict=True):
            edges = np.linspace(*x_range, counts.shape[1] + 1)
            axes.pcolormesh(
                edges,
                np.arange(len(names) + 1),
                np.log1p(counts),
                cmap=colours,
                vmin=0,
                vmax=np.log1p(high),
                rasterized=True,
            )
            axes.set_yticks(
                np.arange(len(names)) + 0.5, [short(name) for name in names], fontsize=7.5 if row > 10 else 5.5
            )
            axes.tick_params(axis='y', length=0)
            axes.set_title(title, fontsize=8)
            axes.set_xlabel(x_name)
        all_axes[0].invert_yaxis()

    return svg(draw, WIDTH, 80 + row * len(names), len(panels))


def counts_by_score(lines: Mapping[str, np.ndarray], x_range: tuple[float, float], x_name: str) -> str:
    """Outlines of histograms (bins,) over one range, their counts on a logarithmic axis."""

    def draw(axes: Any) -> None:
        for colour, (name, counts) in zip(COLOURS, lines.items(), strict=False):
            edges = np.linspace(*x_range, len(counts) + 1)
            axes.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, color=colour, label=name, fill=True, alpha=0.35)
            axes.stairs(np.maximum(counts, 0.5), edges, baseline=0.5, color=colour)
        axes.set(yscale='log', ylim=(0.5, None), xlim=x_range, xlabel=x_name, ylabel='detections')
        _show_plain_numbers(axes.yaxis)
        axes.legend(frameon=False)

    return svg(draw)


def density(
    counts: np.ndarray,
    edges: np.ndarray,
    points: np.ndarray,
    x_name: str,
    y_name: str,
    points_name: str,
    corners: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> str:
    """A 2-D histogram (X, Y) on two logarithmic axes of the same edges (E,), and numbered points (P, 2) above it.

    corners: name -> x, y of dashed lines from both axes to there: what lies below them is smaller in both.
    """

    def draw(axes: Any) -> None:
        from matplotlib.patheffects import withStroke

        outline = [withStroke(linewidth=2.5, foreground='white')]  # to be seen on dark cells too
        shown = np.ma.masked_equal(counts.T, 0)
        mesh = axes.pcolormesh(edges, edges, shown, norm='log' if counts.any() else None, cmap='viridis_r')
        mesh.set_rasterized(True)
        axes.set(xscale='log', yscale='log', aspect='equal', xlabel=x_name, ylabel=y_name)
        style: dict[str, Any] = {'color': COLOURS[1], 'path_effects': outline}
        axes.plot(*points.T, 's', fillstyle='none', markersize=6, label=points_name, **style)
        for number, point in enumerate(points, 1):
            axes.annotate(str(number), point, (5, -9), textcoords='offset points', weight='bold', **style)
        for name, (x, y) in corners.items():
            axes.plot([x, x, 0], [0, y, y], color='#555', linestyle='--', linewidth=1)
            text = {'textcoords': 'offset points', 'ha': 'right', 'color': '#333', 'path_effects': outline}
            axes.annotate(name, (x, edges[0]), (-2, 3), **text)  # at the foot, away from boxes and points
        axes.set(xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))
        _show_plain_numbers(axes.xaxis)
        _show_plain_numbers(axes.yaxis)
        axes.grid()
        axes.legend(loc='upper left', frameon=False)
        if counts.any():
            _show_plain_numbers(axes.figure.colorbar(mesh, ax=axes, label='boxes').ax.yaxis)

    return svg(draw, WIDTH, WIDTH * 4 // 5)


def svg(draw: Callable[..., None], width: int = WIDTH, height: int = HEIGHT, num_axes: int = 1) -> str:
    """The chart that `draw` draws on axes side by side, as an element of a page; sizes in CSS pixels."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot and its global figures

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        figure = Figure((width / 96, height / 96), dpi=192, layout='constrained')
        draw(*figure.subplots(1, num_axes, squeeze=False, sharey=num_axes > 1)[0])
        text = io.StringIO()
        figure.savefig(text, format='svg', metadata=NO_METADATA)
    element = text.getvalue()[text.getvalue().index('<svg') :]
    # A page needs no name spaces, and its several charts must not have the same ids.
    return re.sub(r' xmlns(:xlink)?="[^"]*"| id="[a-zA-Z]+_[\d_]+"', '', element)


def _show_plain_numbers(axis: Any) -> None:
    """On a logarithmic axis: 100, and not 10 with an exponent, which would need mathematics in the text."""
    axis.set_major_formatter('{x:g}')
    axis.set_minor_formatter('')


def short(name: str) -> str:
    """A name that fits beside an axis."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'


def _as_label(name: str) -> str:
    """A name for a legend; matplotlib leaves out labels that begin with an underscore."""
    return f' {short(name)}' if name.startswith('_') else short(name)


def _format(value: float) -> str:
    return f'{value:,}' if isinstance(value, int) else f'{value:.3f}'


def _compact(number: int) -> str:
    """At most four letters: 999, 1.2k, 57k."""
    return f'{number}' if number < 1000 else f'{number / 1000:.1f}k' if number < 10000 else f'{number // 1000}k'
