"""The model server under more than it can do, and for long: refusals, latency, errors, memory."""

import os
import tempfile
from pathlib import Path

from benchmarks.clients import Answers, answers
from benchmarks.evaluate import exported_model
from benchmarks.processes import resident, table, verdict
from benchmarks.serve import CLIENTS, PORT, SECONDS, server

REQUESTS = int(os.environ.get("DARKROOM_SOAK_REQUESTS", "20000"))
_TIMES, _WAITING = 4, 256
"""Requests sent, in capacities, and how many clients may wait for their answers at a time."""


def measure() -> str:
    """Asks one server: one client, as many as it is measured with, four times that, and long."""
    with tempfile.TemporaryDirectory() as folder:
        model = exported_model(Path(folder) / "model")
        with server(model) as pid:
            answers(PORT, CLIENTS, 3)  # warm
            alone = answers(PORT, 1, SECONDS)
            full = answers(PORT, CLIENTS, SECONDS)
            over = answers(PORT, _WAITING, SECONDS, rate=_TIMES * full.rate)
            first = answers(PORT, CLIENTS, requests=REQUESTS // 4)
            before = resident(pid)
            rest = answers(PORT, CLIENTS, requests=REQUESTS - REQUESTS // 4)
            after = resident(pid)
    rows = [
        _row("one client", alone),
        _row(f"{CLIENTS} clients", full),
        _row(f"{_TIMES} times that, sent whether answered or not", over),
        _row(f"{REQUESTS:,} requests", rest),
    ]
    refused, lost = over.statuses.get("429", 0), _failed(over)
    failed = _failed(first) + _failed(rest)
    bounds = [
        f"- p99 of the accepted / {CLIENTS} clients': {over.p99 / full.p99:.2f}, "
        f"{verdict(over.p99 / full.p99, 3, False)}; / one client's: {over.p99 / alone.p99:.2f}",
        f"- {refused:,} requests refused with 429, {lost} neither refused nor answered",
        f"- {REQUESTS:,} requests: {failed} failed; memory of the last three quarters: "
        f"{before / 2**20:,.0f} to {after / 2**20:,.0f} MiB",
    ]
    header = ["overload", "answered/s", "p50 ms", "p99 ms", "statuses"]
    return "\n".join([table(header, rows), "", *bounds])


def _row(name: str, found: Answers) -> list[str]:
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(found.statuses.items()))
    return [
        name,
        f"{found.rate:,.0f}",
        f"{found.p50 * 1e3:.1f}",
        f"{found.p99 * 1e3:.1f}",
        statuses,
    ]


def _failed(found: Answers) -> int:
    return sum(count for status, count in found.statuses.items() if status not in ("200", "429"))
