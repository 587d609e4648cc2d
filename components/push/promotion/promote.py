"""Promotes a canary that is as good as the version that serves, or takes it back."""

import dataclasses
import enum
from collections.abc import Sequence

from components.push.promotion.check import CanaryLimits, Check, Finding
from components.push.promotion.quality import (
    answers_to_labelled,
    check_quality,
    labels_by_photograph,
)
from components.push.promotion.server_metrics import (
    Counts,
    check_errors,
    check_latency,
    parsed_server,
    read_counts,
)
from components.push.targets import target_for
from components.push.targets.target import PushedVersion
from components.push.verify import verify_server
from darkroom.artifacts.push_log import Entry
from darkroom.errors import SettingsError


class Outcome(enum.StrEnum):
    """What became of a canary."""

    PROMOTED = "promoted"
    TAKEN_BACK = "taken back"
    UNDECIDED = "not decided yet"
    NO_CANARY = "there is no canary"


@dataclasses.dataclass(frozen=True)
class Decision:
    """What became of a canary, and why.

    Attributes:
        outcome: What became of it.
        checks: What was looked at.
        canary: Its number; None where there is none.
        entry: The push log's entry; None where nothing has changed.
    """

    outcome: Outcome
    checks: Sequence[Check] = ()
    canary: int | None = None
    entry: Entry | None = None

    def found(self, finding: Finding) -> list[str]:
        """The names of the checks that have found something."""
        return [check.name for check in self.checks if check.finding is finding]


def promote_if_better(
    destination: str,
    server: str,
    *,
    samples: str | None = None,
    labels: str | None = None,
    limits: CanaryLimits | None = None,
    traffic: int = 100,
) -> Decision:
    """Promotes a canary that passes all checks, and takes back one that fails any.

    It may be called as often as one likes: a canary that is as good as the version that serves is
    taken back by a check with a probability of at most 5 %, over all calls together.

    Args:
        destination: Where models are pushed.
        server: The model's address at the server that shares the requests between both versions,
            `http://HOST:PORT/v1/models/NAME`.
        samples: Path or URI of that server's samples; with `labels`, the quality is measured.
        labels: Path or URI of the labels of sampled photographs; see `darkroom.labels.read_labels`.
        limits: How much worse the canary may be; by default those of `CanaryLimits`.
        traffic: The share of requests that a promoted canary gets, in percent.

    Raises:
        SettingsError: There is no such destination or server, or samples or labels are missing.
        StepError: The server cannot be asked, or the canary has no proof; nothing has changed.
    """
    limits = limits or CanaryLimits()
    if (samples is None) != (labels is None):
        raise SettingsError("--samples and --labels go together: one says what the other means")
    _, model = parsed_server(server)
    known = labels_by_photograph(labels) if labels is not None else None
    target = target_for(destination)
    stable, canary = target.current(), target.canary()
    if stable is None:
        raise SettingsError(f"there is no model at {destination}")
    if canary is None:
        return Decision(Outcome.NO_CANARY)
    counts = read_counts(server)
    both = counts.get(canary.number, Counts()), counts.get(stable.number, Counts())
    checks = [
        _check_proof(server, canary),
        check_errors(*both, limits),
        check_latency(*both, limits),
    ]
    if samples is not None and known is not None:
        numbers = (canary.number, stable.number)
        answers = answers_to_labelled(samples, model, known, numbers)
        checks.append(check_quality(*answers, known.label_of, limits))
    reason = "; ".join(check.in_words() for check in checks)
    if any(check.finding is Finding.FAILS for check in checks):
        entry = target.rollback(reason=reason, canary=canary.number)
        return Decision(Outcome.TAKEN_BACK, checks, canary.number, entry)
    if all(check.finding is Finding.PASSES for check in checks):
        entry = target.promote(traffic, reason, canary.number)
        return Decision(Outcome.PROMOTED, checks, canary.number, entry)
    return Decision(Outcome.UNDECIDED, checks, canary.number)


def _check_proof(server: str, canary: PushedVersion) -> Check:
    """Whether the server gives the answers that the canary's evaluation kept."""
    address = f"{server.rstrip('/')}/versions/{canary.number}"
    (comparison,) = verify_server(address, canary.location)
    if comparison.problem:  # it may not have loaded it yet
        return Check("proof", Finding.UNDECIDED, comparison.problem)
    finding = Finding.PASSES if comparison.agrees else Finding.FAILS
    return Check("proof", finding, comparison.in_words())
