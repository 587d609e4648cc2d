"""A run's outcome as a message."""

import dataclasses

from components.notify.outcome import Outcome
from darkroom.channels.message import Message

_RESULTS = {
    "succeeded": "succeeded",
    "not_blessed": "model not blessed",
    "failed": "failed",
    "cancelled": "cancelled",
}


def outcome_message(outcome: Outcome) -> Message:
    """What people are told of a run."""
    accuracy = outcome.metrics.get("accuracy")
    lines = [
        ("error", outcome.error),
        ("accuracy", f"{accuracy:.3f}" if isinstance(accuracy, float) else ""),
        ("not blessed", "; ".join(outcome.reasons)),
        ("pushed", outcome.pushed),
        ("report", outcome.report),
        ("run", outcome.page),
    ]
    return Message(
        f"{outcome.pipeline}: {_RESULTS[outcome.result]}",
        tuple((name, value) for name, value in lines if value),
        dataclasses.asdict(outcome),
    )
