"""Infra validation: a candidate is served, asked through every door, and held to its limits.

As TFX's InfraValidator does, before anything at the destination changes.
"""

import dataclasses
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from components.push.doors.batch_prediction import BatchPrediction
from components.push.doors.compare import compare
from components.push.doors.door import Door
from components.push.doors.exported_forms import ExportedForms
from components.push.doors.model_server import model_server
from components.push.doors.plain_tensorflow import PlainTensorflow
from components.push.settings import Limits
from darkroom.artifacts.exported import read_exported_forms
from darkroom.artifacts.proof import Proof, read_proof
from darkroom.errors import StepError

_ANSWERS = 100
"""Answers that the latencies are taken from."""
_log = logging.getLogger("darkroom.push")


def validate(candidate: Path, limits: Limits, *, with_server: bool) -> None:
    """Asks a candidate for its proof's photographs, in fresh processes.

    Args:
        candidate: The version's folder.
        limits: What it may take.
        with_server: Whether the model server and batch prediction are tried too.

    Raises:
        StepError: A door gives other answers, or it takes more than the limits; the message names
            the door, the photograph and how far off it is.
    """
    proof = read_proof(candidate)
    with PlainTensorflow(candidate) as process:
        for door in process.doors:
            _check(door, proof)
    check_forms(candidate, proof)
    if not with_server:
        return
    _check(BatchPrediction(candidate, proof.images), proof)
    with model_server(candidate) as server:
        for server_door in server.doors:
            _check(server_door, proof)
        seconds = sorted(_latencies(server.doors[0], proof))
        memory = server.peak_memory()
    p50, p99 = seconds[len(seconds) // 2], seconds[-max(1, len(seconds) // 100)]
    _log.info(
        "the model server: ready in %.1f s, answers in %.0f ms (p50) and %.0f ms (p99), %s MB",
        *(server.startup_seconds, p50 * 1000, p99 * 1000),
        "?" if memory is None else round(memory / 2**20),
    )
    _hold("start-up", server.startup_seconds, limits.startup_seconds, "s")
    _hold("p99 of an answer", p99 * 1000, limits.latency_ms, "ms")
    _hold("peak memory", (memory or 0) / 2**20, limits.memory_mb, "MB")


def check_forms(candidate: Path, proof: Proof) -> None:
    """Asks a candidate's further forms for its proof's photographs, each within its distance.

    Args:
        candidate: The version's folder.
        proof: Its proof.

    Raises:
        StepError: One gives other answers, or cannot be run.
    """
    forms = read_exported_forms(candidate)
    if not forms:
        return
    with ExportedForms(candidate, forms) as process:
        for door, form in zip(process.doors, forms, strict=True):
            _check(door, dataclasses.replace(proof, tolerance=form.tolerance))


def _check(door: Door, proof: Proof) -> None:
    comparison = compare(door, lambda _: proof, proof)
    if comparison is None:
        return
    if comparison.problem:
        raise StepError(f"{comparison.problem}: not pushed")
    if not comparison.agrees:
        raise StepError(f"{comparison.in_words()}: training-serving skew, not pushed")
    _log.info("%s", comparison.in_words())


def _latencies(door: Door, proof: Proof) -> Iterator[float]:
    """Seconds of a hundred answers, once the server is warm."""
    for _ in range(-(-_ANSWERS // len(proof.images))):
        for image in proof.images:
            started = time.perf_counter()
            door.ask(image)
            yield time.perf_counter() - started


def _hold(what: str, value: float, limit: float | None, unit: str) -> None:
    if limit is not None and value > limit:
        raise StepError(f"{what} is {value:.4g} {unit}, over push.limits' {limit:g}: not pushed")
