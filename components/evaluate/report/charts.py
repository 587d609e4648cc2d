"""The report's charts: Vega-Lite, drawn as SVG in the page's own colours, and read by pointing.

Each is drawn here already, so that it is there in print and without JavaScript; in a browser the
page's script draws it again, and shows the values under the pointer.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from components.evaluate.report.training import History
from darkroom.intervals import wilson

if TYPE_CHECKING:
    from components.evaluate.strangers import Strangers
    from darkroom.answers.curves import Curve

_INK, _ACCENT, _QUIET, _LINE = "currentColor", "var(--accent)", "var(--quiet)", "var(--line)"
_WARNING = "var(--bad)"
_FONT = "inherit"
_WIDTH, _HEIGHT = 320, 220
_MOST_TICKS = 12
_SCORE_BINS = 30
_CONFIG = {
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK,
        "titleColor": _QUIET,
        "titleFontWeight": "normal",
        "gridColor": _LINE,
        "domainColor": _LINE,
        "tickColor": _LINE,
    },
    "legend": {"labelColor": _INK, "titleColor": _QUIET, "orient": "bottom", "title": None},
    "title": {"color": _INK, "anchor": "start", "fontSize": 13},
    "range": {"category": {"scheme": "tableau10"}},
}


_NAMES = re.compile(r'\s(xmlns(:xlink)?|version|(aria|role)[-a-z]*)="[^"]*"')
"""Of no use within an HTML page, or replaced by one description of the whole."""


class Chart(NamedTuple):
    """A chart in the page.

    Attributes:
        svg: The chart as it is drawn here.
        specification: Vega-Lite's, as JSON.
        description: What it shows, for who cannot see it.
    """

    svg: str
    specification: str
    description: str


def script(page: str) -> str:
    """The page's script, with all that draws charts: Vega, Vega-Lite and vega-embed.

    Args:
        page: JavaScript that calls `vegaEmbed`.
    """
    import vl_convert

    bundle: str = vl_convert.javascript_bundle(page)
    return bundle.replace("</script", "<\\/script")


def training_curve(history: History, name: str, title: str) -> Chart:
    """A loss or metric by epoch, on the training and the validation split.

    Args:
        history: The training history.
        name: Its name in the history, such as `loss`.
        title: Its name in the chart.
    """
    import altair as alt

    rows: list[dict[str, Any]] = [
        {"epoch": epoch, "value": value, "split": split}
        for series, split in ((name, "training"), (f"val_{name}", "validation"))
        for epoch, value in zip(*history.curve(series), strict=True)
    ]
    epochs: list[int] = sorted({row["epoch"] for row in rows})
    # Whole ones, of few too.
    ticks = epochs[:: -(-len(epochs) // _MOST_TICKS)] if epochs else [1]
    lines = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point={"size": 20})
        .encode(
            x=alt.X("epoch:Q", axis=alt.Axis(values=ticks, format="d", grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color(
                "split:N",
                scale=alt.Scale(domain=["training", "validation"], range=[_QUIET, _ACCENT]),
            ),
            tooltip=["split:N", "epoch:Q", alt.Tooltip("value:Q", format=".4f", title=title)],
        )
    )
    marks = [{"epoch": start - 0.5, "text": phase} for start, phase in history.phase_starts[1:]]
    layers: list[Any] = [lines]
    if marks:
        layers.append(_rules(marks, _QUIET, [2, 3]))
    if history.best_epoch is not None:
        layers.append(_rules([{"epoch": history.best_epoch, "text": "kept"}], _ACCENT, [5, 4]))
    described = f"{title} by epoch, on the training and the validation split"
    return _chart(alt.layer(*layers).properties(title=title), described)


def _rules(marks: Sequence[Mapping[str, Any]], colour: str, dash: Sequence[float]) -> Any:
    import altair as alt

    rule = alt.Chart(alt.InlineData(values=marks)).mark_rule(color=colour, strokeDash=list(dash))
    return rule.encode(x="epoch:Q", tooltip=["text:N"])


def roc(curves: Mapping[str, "Curve"]) -> Chart:
    """The ROC curves of labels, each against the rest.

    Args:
        curves: By label.
    """
    rows = [
        {"label": label, "x": x, "y": y, "threshold": threshold}
        for label, of in curves.items()
        for x, y, threshold in [
            (0.0, 0.0, None),
            *zip(
                (of.false_alarms / max(of.negatives, 1)).round(5).tolist(),
                (of.hits / max(of.positives, 1)).round(5).tolist(),
                of.thresholds.round(5).tolist(),
                strict=True,
            ),
        ]
    ]
    titles = ("False positive rate", "True positive rate (recall)")
    return _curves(rows, titles, "ROC curves", "linear")


def precision_recall(curves: Mapping[str, "Curve"]) -> Chart:
    """The precision-recall curves of labels.

    Args:
        curves: By label.
    """
    rows = [
        {"label": label, "x": x, "y": y, "threshold": threshold}
        for label, of in curves.items()
        for x, y, threshold in zip(
            (of.hits / max(of.positives, 1)).round(5).tolist(),
            (of.hits / (of.hits + of.false_alarms)).round(5).tolist(),
            of.thresholds.round(5).tolist(),
            strict=True,
        )
    ]
    return _curves(rows, ("Recall", "Precision"), "Precision-recall curves", "step-before")


def _curves(
    rows: Sequence[Mapping[str, Any]], titles: tuple[str, str], title: str, interpolate: Any
) -> Chart:
    import altair as alt

    nearest = alt.selection_point(nearest=True, on="pointerover", empty=False, encodings=["x", "y"])
    unit = alt.Scale(domain=[0, 1])
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X("x:Q", title=titles[0], scale=unit),
        y=alt.Y("y:Q", title=titles[1], scale=unit),
        color=alt.Color("label:N", legend=alt.Legend(symbolType="stroke", columns=4)),
    )
    shown = [
        alt.Tooltip("label:N"),
        alt.Tooltip("x:Q", title=titles[0], format=".3f"),
        alt.Tooltip("y:Q", title=titles[1], format=".3f"),
        alt.Tooltip("threshold:Q", title="At threshold", format=".3f"),
    ]
    lines = base.mark_line(interpolate=interpolate, clip=True, strokeWidth=1.8)
    points = base.mark_point(filled=True, size=70).encode(
        opacity=alt.when(nearest).then(alt.value(1)).otherwise(alt.value(0)), tooltip=shown
    )
    chart = alt.layer(lines, points.add_params(nearest)).properties(title=title)
    described = f"{title}: {titles[1]} by {titles[0].lower()}, label by label"
    # The points are there to be pointed at: in print they would be most of the page's bytes.
    return _chart(chart, described, still=alt.layer(lines).properties(title=title))


def reliability(bins: Sequence[Sequence[float | None]]) -> Chart:
    """Accuracy by predicted probability; on the dashed line the two are equal.

    Args:
        bins: By bin the number of answers, the sum of their probabilities and how many are right;
            None is not a number.
    """
    import altair as alt

    width = 1 / len(bins)
    rows = []
    for place, (images, probability, right) in enumerate(bins):
        if images and probability is not None and right is not None:
            low, high = wilson(round(right), round(images))
            rows.append(
                {
                    "from": place * width,
                    "to": (place + 1) * width,
                    "middle": (place + 0.5) * width,
                    "bottom": 0,
                    "images": round(images),
                    "probability": probability / images,
                    "accuracy": right / images,
                    "low": low,
                    "high": high,
                }
            )
    unit = alt.Scale(domain=[0, 1])
    base = alt.Chart(alt.InlineData(values=rows))
    tooltip = [
        alt.Tooltip("images:Q", format=",d"),
        *(
            alt.Tooltip(f"{name}:Q", format=".3f", title=title)
            for name, title in (
                ("probability", "mean probability"),
                ("accuracy", "accuracy"),
                ("low", "95 % from"),
                ("high", "to"),
            )
        ),
    ]
    bars = base.mark_bar(color=_ACCENT, opacity=0.75).encode(
        x=alt.X("from:Q", title="Probability", scale=unit),
        x2="to:Q",
        y=alt.Y("accuracy:Q", title="Accuracy", scale=unit),
        y2="bottom:Q",
        tooltip=tooltip,
    )
    intervals = base.mark_rule(color=_INK).encode(x="middle:Q", y="low:Q", y2="high:Q")
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    diagonal = alt.Chart(alt.InlineData(values=ends)).mark_line(color=_INK, strokeDash=[5, 4])
    chart = alt.layer(bars, intervals, diagonal.encode(x="x:Q", y="y:Q"))
    return _chart(chart, "Reliability: how often a label is right by its probability")


def strangers(of: "Strangers") -> Chart:
    """How the test photographs and the strangers fall by a score; the threshold is dashed.

    Args:
        of: The score.
    """
    import altair as alt
    import numpy as np

    highest = max(float(values.max()) for values in of.values) or 1.0
    edges = np.linspace(0, highest, _SCORE_BINS + 1)
    rows = [
        {
            "from": low,
            "to": high,
            "bottom": 0,
            "share": count / len(values),
            "images": int(count),
            "split": name,
        }
        for name, values in zip(("test split", "strangers"), of.values, strict=True)
        for low, high, count in zip(
            *(edges[:-1].round(5).tolist(), edges[1:].round(5).tolist()),
            np.histogram(values, edges)[0].tolist(),
            strict=True,
        )
    ]
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(opacity=0.55)
        .encode(
            x=alt.X("from:Q", title=of.title),
            x2="to:Q",
            y=alt.Y("share:Q", title="Share of the photographs", stack=None),
            y2="bottom:Q",
            color=alt.Color(
                "split:N",
                scale=alt.Scale(domain=["test split", "strangers"], range=[_ACCENT, _WARNING]),
            ),
            tooltip=["split:N", alt.Tooltip("images:Q", format=",d"), "from:Q", "to:Q"],
        )
    )
    marks = [{"at": of.threshold, "text": f"threshold {of.threshold:.3f}"}]
    rule = alt.Chart(alt.InlineData(values=marks)).mark_rule(color=_INK, strokeDash=[5, 4])
    layers = alt.layer(bars, rule.encode(x="at:Q", tooltip=["text:N"]))
    return _chart(layers.properties(title=of.title), f"{of.title}, of the test split and strangers")


def _chart(chart: Any, description: str, still: Any = None) -> Chart:
    """A chart that is drawn here, as `still` where that is given, and again in the browser."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(_specification(still or chart))
    svg = _NAMES.sub("", svg).replace(
        "<svg", f'<svg role="img" aria-label="{escape(description)}"', 1
    )
    # `</script>` in a label would end the element that holds it.
    return Chart(svg, _specification(chart).replace("<", "\\u003c"), description)


def _specification(chart: Any) -> str:
    sized = chart.properties(width=_WIDTH, height=_HEIGHT).to_dict()
    del sized["$schema"]  # an address; vega-embed knows what it is
    return json.dumps(sized | {"config": _CONFIG}, separators=(",", ":"))
