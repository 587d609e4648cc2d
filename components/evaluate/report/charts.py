"""The report's charts: small SVGs that take the page's fonts and colours, light or dark."""

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from html import escape
from typing import Any

from components.evaluate.report.training import History

# Matplotlib needs fixed colours: the page's own replace these in the finished SVG.
_INK, _ACCENT, _QUIET, _LINE = "#010101", "#020202", "#030303", "#040404"
_PAGE_COLOURS = {
    _INK: "currentColor",
    _ACCENT: "var(--accent)",
    _QUIET: "var(--quiet)",
    _LINE: "var(--line)",
}
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "darkroom",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
}

NUMBERED_LABELS = 30
"""The confusion matrix shows its numbers up to this many labels, and names up to twice as many."""


def training_curve(history: History, name: str, title: str) -> str:
    """A loss or metric by epoch, on the training and the validation split.

    Args:
        history: The training history.
        name: Its name in the history, such as `loss`.
        title: Its name in the chart.
    """
    import matplotlib as mpl
    from matplotlib.ticker import MaxNLocator

    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(4.8, 3.0)
        for series, label, colour in (
            (name, "training", _QUIET),
            (f"val_{name}", "validation", _ACCENT),
        ):
            epochs, values = history.curve(series)
            marker = "o" if len(epochs) < 30 else None
            axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=label)
        for start, phase in history.phase_starts[1:]:
            axes.axvline(start - 0.5, color=_QUIET, linewidth=0.8, linestyle=":")
            place = axes.get_xaxis_transform()
            axes.text(start - 0.4, 0.99, phase.replace("_", " "), transform=place, va="top")
        if history.best_epoch is not None:
            axes.axvline(history.best_epoch, color=_ACCENT, linewidth=0.8, linestyle="--")
        axes.set_title(title, loc="left", fontsize=10)
        # Of a single epoch too, whose axis would else run from 0.94 to 1.06.
        axes.set_xlim(0.5, max((int(entry["epoch"]) for entry in history.epochs), default=1) + 0.5)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="best")
        return _svg(figure, f"{title} by epoch, on the training and the validation split")


def confusion_matrix(entries: Sequence[tuple[str, str, int]], labels: Sequence[str]) -> str:
    """Labels against predicted labels; shades are shares of a row, numbers are images.

    Args:
        entries: Label, predicted label and number of images of every pair that occurs.
        labels: The labels, in order.
    """
    import matplotlib as mpl
    import numpy as np

    places = {label: place for place, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for label, predicted, images in entries:
        counts[places[label], places[predicted]] = images
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with mpl.rc_context(_SETTINGS | {"axes.grid": False}):
        side = min(11.0, 2.6 + 0.42 * len(labels))
        figure, axes = _figure(side, side)
        axes.imshow(shares, cmap=_see_through_colours(), vmin=0, vmax=1, interpolation="none")
        axes.spines[:].set_visible(True)
        axes.set_xlabel("predicted")
        axes.set_ylabel("label")
        _name_ticks(axes, labels)
        if len(labels) <= NUMBERED_LABELS:
            _write_numbers(axes, counts, shares)
        return _svg(figure, "Confusion matrix: rows are labels, columns predicted labels")


def reliability(bins: Sequence[Sequence[float | None]]) -> str:
    """Accuracy by predicted probability; on the dashed line the two are equal.

    Args:
        bins: As `calibration.calibration_error` takes them; None is not a number.
    """
    import matplotlib as mpl

    width = 1 / len(bins)
    with mpl.rc_context(_SETTINGS):
        figure, axes = _figure(4.8, 3.6)
        for place, (images, _, right) in enumerate(bins):
            if images and right is not None:
                height = right / images
                axes.bar((place + 0.5) * width, height, 0.9 * width, color=_ACCENT)
                text = f"{images:.0f}"
                axes.text((place + 0.5) * width, height + 0.015, text, ha="center", fontsize=7)
        axes.plot([0, 1], [0, 1], color=_INK, linestyle="--", linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1.08), xlabel="probability", ylabel="accuracy")
        return _svg(figure, "Reliability: how often a label is right by its probability")


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _see_through_colours() -> Any:
    """From transparent to the accent colour."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("share", [(0.05, 0.55, 0.53, a) for a in (0, 1)])


def _name_ticks(axes: Any, labels: Sequence[str]) -> None:
    axes.tick_params(length=0)
    if len(labels) > 2 * NUMBERED_LABELS:
        axes.set(xticks=[], yticks=[])
        return
    names = [textwrap.shorten(label, 20, placeholder="…") or label[:19] for label in labels]
    size = 9 if len(labels) <= 15 else 7 if len(labels) <= NUMBERED_LABELS else 5
    axes.set_xticks(range(len(labels)), names, fontsize=size)
    if max(map(len, names)) > 3:
        axes.tick_params(axis="x", labelrotation=45)
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
    axes.set_yticks(range(len(labels)), names, fontsize=size)


def _write_numbers(axes: Any, counts: Any, shares: Any) -> None:
    import numpy as np

    size = 9 if len(counts) <= 15 else 6
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.55 else _INK
        text = f"{counts[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _svg(figure: Any, description: str) -> str:
    """The figure as an SVG element for an HTML page, without metadata."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The page's fonts are used in the end, which may well have the glyph.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=no_metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    text = re.sub(r'\s(xmlns(:xlink)?|version)="[^"]*"', "", text)
    for fixed, of_page in _PAGE_COLOURS.items():
        text = text.replace(fixed, of_page)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
