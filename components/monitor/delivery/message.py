"""Alerts as one message."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from components.monitor.alerts.alert import Alert
from components.monitor.alerts.update import SAMPLES
from components.monitor.alerts.words import of_slice, text_of
from components.monitor.delivery.photographs import Found
from darkroom.channels.message import Message
from darkroom.thumbnails import thumbnail

MOST = 10
"""Alerts of a message that have a line; a webhook gets all."""
_SIDE = 224
"""Pixels of a thumbnail's longer side."""
_WORST_FIRST = ("no_traffic", "floor", "fall", "labels_stopped", "drift")


def alerts_message(
    model: str, alerts: Sequence[Alert], page_address: str, photographs: Mapping[str, Found]
) -> Message:
    """The message of some alerts.

    Args:
        model: The model's name; "" without one.
        alerts: What is told; at least one.
        page_address: Of the dashboard, or "".
        photographs: Sample photographs by `image_id`, whose thumbnails go with an e-mail.
    """
    ordered = sorted(alerts, key=lambda alert: (_WORST_FIRST.index(alert.kind), alert.id))
    title = f"{model or 'model'}: {_headline(ordered[0])}"
    if len(ordered) > 1:
        title += f", and {len(ordered) - 1} more"
    details = [(f"alert {each.id}, version {each.version}", _line(each)) for each in ordered[:MOST]]
    if len(ordered) > MOST:
        details.append(("", f"and {len(ordered) - MOST} more"))
    if page_address:
        details.append(("page", page_address))
    values: dict[str, Any] = {"model": model, "alerts": [_values(alert) for alert in ordered]}
    values["page"] = page_address
    return Message(title, tuple(details), values, dict(_pictures(ordered, photographs)))


def _headline(alert: Alert) -> str:
    match alert.kind:
        case "no_traffic":
            return "no answers"
        case "labels_stopped":
            return "no new labels"
        case "floor":
            return f"{of_slice(alert.subject)} is below its floor"
        case "fall":
            return f"{of_slice(alert.subject)} has fallen"
        case "drift":
            return f"{alert.subject} has changed"


def _line(alert: Alert) -> str:
    places = [sample["where"] for sample in alert.figures.get(SAMPLES, ()) if "where" in sample]
    if not places:
        return alert.message
    return f"{alert.message}; see {', '.join(dict.fromkeys(places))}"


def _values(alert: Alert) -> dict[str, Any]:
    values: dict[str, Any] = alert._asdict()
    for name in ("closed", "told", "acknowledged", "acknowledged_by"):
        del values[name]
    return {**values, "opened": text_of(alert.opened), "figures": dict(alert.figures)}


def _pictures(
    alerts: Sequence[Alert], photographs: Mapping[str, Found]
) -> Sequence[tuple[str, bytes]]:
    found: dict[str, bytes] = {}
    for alert in alerts[:MOST]:
        for place, sample in enumerate(alert.figures.get(SAMPLES, ()), 1):
            photograph = photographs.get(sample["image_id"])
            encoded = None if photograph is None else photograph.read()
            small = None if encoded is None else thumbnail(encoded, _SIDE)
            if small is not None:
                picture = base64.b64decode(small.partition(",")[2])
                found[f"alert-{alert.id}-{place}.jpg"] = picture
    return list(found.items())
