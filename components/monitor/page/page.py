"""The page: one self-contained HTML file of what is known of a watched model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.monitor.page import charts, specification, timeline, words
from components.monitor.page.figures import Change, Figures, VersionFigures, pooled, read_figures
from components.monitor.page.mistakes import Pictures
from components.monitor.page.tables import tables_of
from components.monitor.windows.history import OVER
from darkroom.storage.atomic import write_text

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "page.html.j2"
_WORST = 9
"""Slices that are drawn; any other is to be chosen."""
_CHOSEN_POINTS = 4000
"""Windows of slices that can be chosen, in all: some 300 KB of the page."""
_FIRST_ALERTS = 6
"""Alerts that hold and are seen at once; the others are a click away."""
_CLOSED = 50
"""Alerts that no longer hold: the latest."""
_CHANGES = 12
"""Tests that do not alarm are shown until there are so many."""
_COLUMNS = ("time", "window", "version", "value", "low", "high", "average", "photographs", "alarm")


def write_page(database: Path, page: Path, *, title: str, pictures: Pictures | None = None) -> None:
    """Writes an HTML page that loads nothing.

    Args:
        database: The monitor's file, which another process may be writing.
        page: Output: the file.
        title: What is watched.
        pictures: Where photographs are found; without, those to look at have names alone.

    Raises:
        SettingsError: There is no such database, or it is of another release.
        StepError: It is being written, or cannot be read; or the page cannot be written.
    """
    write_text(page, render(read_figures(database), title, pictures))


def render(
    figures: Figures,
    title: str,
    pictures: Pictures | None = None,
    live: dict[str, Any] | None = None,
) -> str:
    """Renders figures as a page.

    Args:
        figures: What is shown.
        title: What is watched.
        pictures: Where photographs are found.
        live: Of the live page `every` how many seconds it looks for new figures, and its `etag`.
    """
    from markupsafe import Markup

    shown = timeline.shown_windows(figures)
    mistakes = figures.mistakes
    holding = sorted(
        (alert for alert in figures.alerts if alert.closed is None), key=lambda each: each.urgency
    )
    photographs = [
        *(one.image_id for one in mistakes),
        *(image_id for alert in holding for image_id in alert.photographs),
    ]
    found = pictures.of(photographs) if pictures and photographs else {}
    view = dict(
        title=title,
        figures=figures,
        live=live or {},
        over=OVER,
        holding=holding,
        first_alerts=_FIRST_ALERTS,
        closed=[alert for alert in figures.alerts if alert.closed is not None][:_CLOSED],
        kinds=words.KINDS,
        mistakes=mistakes,
        pictures=found,
        script=Markup(charts.script()),
        **_drawn(figures, shown),
    )
    return _templates().get_template(_TEMPLATE).render(view)


def _drawn(figures: Figures, shown: Sequence[timeline.Shown]) -> dict[str, Any]:
    """All that is drawn of windows; nothing where there is none."""
    if not shown:
        return {"current": None}
    versions = [of.version.version for of in shown]
    accuracy = timeline.accuracy(shown)
    traffic = timeline.traffic(shown)
    frame, marks = charts.frame_of([accuracy, *traffic], figures.marks, versions)
    slices = timeline.slices(shown)
    worst = list(slices.values())[:_WORST]

    def small(many: Sequence[timeline.Series]) -> list[charts.Chart]:
        return [charts.timeline(one, frame) for one in many if one.is_known]

    return {
        "current": shown[0].version,
        "versions": versions,
        "tiles": _tiles(shown[0].version),
        "latest": shown[0].words[shown[0].version.last.window],
        "accuracy": [
            charts.timeline(accuracy, frame, size)
            for size in (specification.WIDE, specification.NARROW)
            if accuracy.is_known
        ],
        "estimates": any(line.is_estimated for line in accuracy.lines),
        "doubts": (shown[0].version.last.figures["estimated"] or {}).get("doubts", ()),
        "marks": marks,
        "slices": small(worst),
        "slice_count": len(slices),
        "chooser": _chooser(list(slices.values()), frame),
        "drift": small(timeline.drift(shown)),
        "changes": [
            (of.version.version, _changes(of), sum(one.alarm for one in of.version.changes))
            for of in shown
            if of.version.changes
        ],
        "traffic": small(traffic),
        "metrics": small(timeline.metrics(shown)),
        "tables": tables_of(shown),
        "left_out": sum(len(of.windows) for of in figures.versions)
        - sum(len(of.windows) for of in shown),
    }


def _chooser(
    slices: Sequence[timeline.Series], frame: specification.Frame
) -> dict[str, Any] | None:
    """The slices that can be chosen: their names, and what the script draws them by."""
    from markupsafe import Markup

    found, points = [], 0
    for series in slices:
        rows = charts.rows_of(series)
        points += len(rows)
        if points > _CHOSEN_POINTS:
            break
        values = [[row[column] for column in _COLUMNS] for row in rows]
        found.append({"name": series.title, "rows": values})
    if len(found) <= _WORST:
        return None
    drawn = charts.chooser(slices[: len(found)], frame)
    data = charts.in_page({"columns": _COLUMNS, "slices": found, "specification": drawn})
    return {"names": [one["name"] for one in found], "data": Markup(data)}


def _tiles(of: VersionFigures) -> list[tuple[str, str, str]]:
    """The version's newest figures: what, how much, and what to know of it."""
    last = of.last.figures
    tiles = []
    points = of.metrics.get("accuracy", [])
    recent = pooled(points)
    if recent is not None:
        photographs = sum(point.photographs for point in points[-OVER:])
        about = f"{recent.low:.3f} to {recent.high:.3f}, {photographs:,} labelled photographs"
        tiles.append(("Accuracy lately", f"{points[-1].average:.3f}", about))
    else:
        tiles.append(("Accuracy lately", "\N{EN DASH}", "no label yet"))
    if last["estimated"]:
        estimated = last["estimated"]
        about = f"{estimated['low']:.3f} to {estimated['high']:.3f}, without labels"
        about += "; doubtful" if estimated.get("doubts") else ""
        tiles.append(("Estimated accuracy", f"{estimated['accuracy']:.3f}", about))
    alarms = sum(change.alarm for change in of.changes)
    tested = f"of {len(of.changes)} that are tested" if of.changes else "no reference, so no tests"
    tiles.append(("Shares that have changed", str(alarms) if of.changes else "\N{EN DASH}", tested))
    asked = f"newest window, {last['photographs']:,} different photographs"
    tiles.append(("Answers", f"{last['answers']:,}", asked))
    tiles.append(("Without a label", f"{100 * last['unlabelled_share']:.0f} %", "newest window"))
    delays = [one.figures["label_delay"] for one in of.windows if one.figures["label_delay"]]
    if delays:
        about = f"nine in ten within {words.in_unit(delays[-1]['p90'], 'hours')}"
        median = words.in_unit(delays[-1]["median"], "hours")
        tiles.append(("How late labels are", median, about))
    return tiles


def _changes(of: timeline.Shown) -> list[tuple[Change, str]]:
    """The tests that alarm and those with the most evidence, each with the window it is since."""
    changes = of.version.changes
    alarming = sum(change.alarm for change in changes)
    return [(one, of.words.get(one.since, "")) for one in changes[: max(alarming, _CHANGES)]]


def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "when": words.when,
        "figure": lambda value: words.in_unit(value, "figure"),
        "evidence": words.evidence,
        "test": words.tested_in_words,
        "happened": words.happened,
    }
    return environment
