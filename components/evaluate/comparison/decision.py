"""What a comparison decides: whether the new model may take the champion's place."""

from collections.abc import Iterator

from components.evaluate.bounds import Margins, compared
from components.evaluate.comparison.compare import (
    ACCURACY,
    Comparison,
    Difference,
    accuracy_difference,
)
from components.evaluate.settings import EvaluateSettings
from darkroom.anytime import CONFIDENCE

SIGNIFICANT = 1 - CONFIDENCE


def failures(comparison: Comparison, settings: EvaluateSettings) -> list[str]:
    """Why the new model may not take the champion's place, one line each."""
    if comparison.problem:
        return [] if settings.if_undecided == "pass" else [_unscored(comparison)]
    return [
        line
        for metric, margins in settings.against_baseline.items()
        for line in _failures(metric, margins, comparison, settings)
    ]


def doubts(comparison: Comparison, settings: EvaluateSettings) -> list[str]:
    """What people should know of the comparison, though it decides nothing."""
    if comparison.problem:
        return [] if settings.if_undecided == "fail" else [_unscored(comparison)]
    return (
        [comparison.doubt] * bool(comparison.doubt)
        + [
            f"{key} decides nothing: no test photograph is among them"
            for key in settings.against_baseline
            if compared(key).column and comparison.of(key) is None
        ]
        + [
            f"for {name}={value}: {in_words(found, comparison.champion)}"
            for found in worse_slices(comparison, settings.minimum_slice_size)
            for name, value in found.slice.items()
        ]
    )


def if_labels_are_wrong(comparison: Comparison, settings: EvaluateSettings) -> str:
    """How the accuracy's comparison stands against labels that are likely wrong, in one line.

    "" if none are, or if the accuracy decides nothing.

    Images whose labels are wrong say nothing of either model: they are left out. Those that speak
    against the decision's turn go first, which gives the fewest that would turn it.
    """
    count = sum(comparison.suspects)
    if not count or ACCURACY not in settings.against_baseline:
        return ""
    holds = _accuracy_holds(comparison.outcomes, settings)
    labels = "1 test label is" if count == 1 else f"{count} test labels are"
    turning = _fewest_that_turn(comparison, settings, holds)
    if turning is not None:
        they = "it is" if count == 1 else f"{turning} of them {'is' if turning == 1 else 'are'}"
        return f"{labels} suspected to be wrong: the comparison would turn if {they}"
    return f"{labels} suspected to be wrong: the comparison stands whichever of them are wrong"


def _fewest_that_turn(
    comparison: Comparison, settings: EvaluateSettings, holds: bool
) -> int | None:
    both, newly_right, newly_wrong, neither = comparison.outcomes
    for_it, against_it = comparison.suspects[1], comparison.suspects[2]
    for wrong in range(1, (for_it if holds else against_it) + 1):
        left = (
            (both, newly_right - wrong, newly_wrong, neither)
            if holds
            else (both, newly_right, newly_wrong - wrong, neither)
        )
        if sum(left) and _accuracy_holds(left, settings) is not holds:
            return wrong
    return None


def _accuracy_holds(outcomes: tuple[int, int, int, int], settings: EvaluateSettings) -> bool:
    margins = settings.against_baseline[ACCURACY]
    overall = (accuracy_difference({}, outcomes, settings.test),)
    comparison = Comparison("", overall=overall)
    return not any(_failures(ACCURACY, margins, comparison, settings))


def worse_slices(comparison: Comparison, minimum_size: int) -> list[Difference]:
    """The slices in which the new model is worse by more than noise.

    Of many slices one in twenty would be by chance: the share of such among those found is held
    at 5 % (Benjamini and Hochberg, Journal of the Royal Statistical Society B 1995).
    """
    from scipy.stats import false_discovery_control

    large = [found for found in comparison.slices if found.count >= minimum_size]
    if not large:
        return []
    adjusted = false_discovery_control([found.p_value for found in large])
    return [
        found
        for found, p_value in zip(large, adjusted, strict=True)
        if p_value < SIGNIFICANT and found.gain is not None and found.gain < 0
    ]


def in_words(found: Difference, champion: str) -> str:
    """A difference as one line.

    >>> found = Difference("accuracy", {}, 50, 0.8, 0.9, -0.1, -0.2, 0.0, 1, 6, 0.125)
    >>> in_words(found, "version 1").partition(": ")[0]
    'accuracy 0.800 beside 0.900 of version 1'
    >>> in_words(found, "version 1").partition(": ")[2]
    'worse by 0.100 (95 % interval -0.200 to 0.000; 1 image newly right, 6 newly wrong; p = 0.12)'
    """
    if found.gain is None:
        return f"{found.metric} of {champion} cannot be compared: it is not a number"
    values = f"{found.metric} {found.challenger:.3f} beside {found.champion:.3f} of {champion}"
    side = "equal" if found.gain == 0 else "better" if found.gain > 0 else "worse"
    by = f" by {abs(found.gain):.3f}" if found.gain else ""
    known = []
    if found.low is not None and found.high is not None:
        known.append(f"{CONFIDENCE:.0%} interval {found.low:.3f} to {found.high:.3f}")
    if found.p_value is not None and found.newly_right is not None:
        images = "image" if found.newly_right == 1 else "images"
        known.append(f"{found.newly_right} {images} newly right, {found.newly_wrong} newly wrong")
        known.append(f"p = {found.p_value:.2g}")
    return f"{values}: {side}{by} ({'; '.join(known).replace('%', ' %', 1)})"


def _unscored(comparison: Comparison) -> str:
    return (
        f"{comparison.champion} cannot be scored to compare with: {comparison.problem} "
        "(to bless all the same: evaluate.if_undecided: pass)"
    )


def _failures(
    metric: str, margins: Margins, comparison: Comparison, settings: EvaluateSettings
) -> Iterator[str]:
    found = comparison.of(metric)
    if found is None and compared(metric).column and margins.better_by is None:
        return
    if found is None or found.low is None or found.high is None:
        if settings.if_undecided == "fail":
            yield (
                f"{metric} of {comparison.champion} cannot be compared: one of the models has no "
                "such number here"
            )
        return
    words = in_words(found, comparison.champion)
    if compared(metric).column:
        words = f"{metric.partition(' of ')[2]}: {words}"
    for name, margin in margins.model_dump(exclude_none=True).items():
        if not _holds(found, name, margin, found.low, found.high):
            yield words if name == "not_worse_by" else f"{words}; {name} is {margin:g}"


def _holds(found: Difference, bound: str, margin: float, low: float, high: float) -> bool:
    gain, p_value = found.gain or 0.0, found.p_value
    if margin == 0 and p_value is not None:  # exact, where an interval is approximate
        is_sure = p_value < SIGNIFICANT
        if bound == "not_worse_by":
            return not (gain < 0 and is_sure)
        if bound == "better_by":
            return gain > 0 and is_sure
    if bound == "not_worse_by":
        return high >= -margin
    if bound == "surely_not_worse_by":
        return low >= -margin
    return low > 0 and low >= margin
