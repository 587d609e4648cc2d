"""Which tests alarm, so that a stated rate of false alarms holds over a model's whole life.

The rate is shared out over the tests by `shares`: equally over families (such as labels,
confidence, brightness, the embedding, accuracy), and equally within each (such as labels, cuts or
slices). The e-values of all tests then alarm by `alarmed`. A tenth of the rate is kept for tests
whose range a reference leaves open, by `range_error`, and a tenth for floors, by `floor_rate`.

With nothing changed, the probability of any alarm of any test in any window, ever, or of a floor
that is kept to, is at most the rate. With some changed and others not, of those that alarm no more
than the rate are false ones on average.
"""

from collections.abc import Mapping, Sequence

from components.monitor.sequential.starts import start_weight

RATE = 0.01
"""Of lives without a change, the share that has a false alarm."""
_OF_RANGES = 0.1
_OF_FLOORS = 0.1
"""Of the rate."""


def shares(families: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The share of the rate that each test has.

    It is settled before the first window. A later test may have what an ended one had, not more.

    Args:
        families: Tests by family; a test's name comes once.

    >>> shares({"label": ["label=daisy", "label=rose"], "embedding": ["embedding"]})
    {'label=daisy': 0.25, 'label=rose': 0.25, 'embedding': 0.5}
    """
    held = [tests for tests in families.values() if tests]
    return {test: 1 / len(held) / len(tests) for tests in held for test in tests}


def range_error(share: float, look: int | None = None, rate: float = RATE) -> float:
    """The error at which a reference leaves a test's range open.

    Args:
        share: Of the test, as `shares` gives it.
        look: Of a test that finds its range again in each window, which one it is, from 1; the
            errors of all of them together are that of one that finds it once.
        rate: Of false alarms over the life.

    >>> round(range_error(0.5), 6)
    0.0005
    """
    error = _OF_RANGES * rate * share
    return error if look is None else error * start_weight(look)


def floor_rate(rate: float = RATE) -> float:
    """The part of the rate that all floors together have.

    Args:
        rate: Of false alarms over the life.
    """
    return _OF_FLOORS * rate


def alarmed(
    e_values: Mapping[str, float], shares: Mapping[str, float], rate: float = RATE
) -> list[str]:
    """The tests that alarm, those with the most evidence first.

    The procedure of Benjamini and Hochberg with e-values, which may depend on each other in any
    way (Wang and Ramdas, False discovery rate control with e-values, Journal of the Royal
    Statistical Society B 2022), each weighted by its share. As soon as one alarms, the
    average of all exceeds 1 / (0.8 * rate).

    Args:
        e_values: By test; those of a test that has seen nothing yet may be left out.
        shares: Of each test, as `shares` gives them.
        rate: Of false alarms over the life.

    >>> tests = shares({"label": ["label=daisy", "label=rose"], "embedding": ["embedding"]})
    >>> alarmed({"label=daisy": 510.0, "label=rose": 1.5, "embedding": 0.2}, tests)
    ['label=daisy']
    >>> alarmed({"label=daisy": 490.0, "label=rose": 1.5, "embedding": 0.2}, tests)
    []
    """
    enough = 1 / (rate * (1 - _OF_RANGES - _OF_FLOORS))
    weighted = {test: shares[test] * e_value for test, e_value in e_values.items()}
    ordered = sorted(weighted, key=lambda test: -weighted[test])
    passed = [place for place, test in enumerate(ordered, 1) if place * weighted[test] >= enough]
    return ordered[: max(passed, default=0)]


def overall_e_value(e_values: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """The evidence of all tests together that anything has changed.

    The average by their shares (Vovk and Wang, E-values: Calibration, combination and
    applications, Annals of Statistics 2021); it is what people are shown.

    Args:
        e_values: By test; one that is left out counts as 1.
        shares: Of each test, as `shares` gives them.

    >>> overall_e_value({"daisy": 9.0}, {"daisy": 0.25, "rose": 0.25, "embedding": 0.5})
    3.0
    """
    return sum(share * e_values.get(test, 1.0) for test, share in shares.items())
