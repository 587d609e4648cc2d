"""Which tests alarm, so that a stated rate of false alarms holds over a model's whole life.

The rate is shared out. Half of it is for the references, half for the windows. Each half is shared
out over the tests by `shares`: equally over families (such as label shares, confidence, brightness,
the embedding), and equally within each (such as labels or slices). A test's reference leaves its
range open at `reference_error`; the e-values of all tests then alarm by `alarmed`.

With nothing changed, the probability of any alarm of any test in any window, ever, is at most the
rate. With some changed and others not, of those that alarm no more than the rate are false ones on
average.
"""

from collections.abc import Mapping, Sequence

RATE = 0.01
"""Of lives without a change, the share that has a false alarm."""


def shares(families: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """The share of the rate that each test has.

    It is settled before the first window. A later test may have what an ended one had, not more.

    Args:
        families: Tests by family; a test's name comes once.

    >>> shares({"label": ["daisy", "rose"], "confidence": ["confidence"]})
    {'daisy': 0.25, 'rose': 0.25, 'confidence': 0.5}
    """
    held = {family: tests for family, tests in families.items() if tests}
    return {test: 1 / len(held) / len(tests) for tests in held.values() for test in tests}


def reference_error(share: float, rate: float = RATE, look: int | None = None) -> float:
    """The error at which a test's reference leaves its range open.

    Args:
        share: Of the test, as `shares` gives it.
        rate: Of false alarms over the life.
        look: Of a test that measures its reference anew in each window, which one it is, from 1;
            the errors of all its looks together are that of one.

    >>> reference_error(0.5)
    0.0025
    """
    error = rate * share / 2
    return error if look is None else error / (look * (look + 1))


def alarmed(
    e_values: Mapping[str, float], shares: Mapping[str, float], rate: float = RATE
) -> list[str]:
    """The tests that alarm, those with the most evidence first.

    The procedure of Benjamini and Hochberg with e-values, which may depend on each other in any
    way (Wang and Ramdas, False discovery rate control with e-values, Journal of the Royal
    Statistical Society B 2022, section 4), each weighted by its share. As soon as one alarms, the
    average of all exceeds 2 / rate.

    Args:
        e_values: By test; those of a test that has seen nothing yet may be left out.
        shares: Of each test, as `shares` gives them.
        rate: Of false alarms over the life.

    >>> tests = shares({"label": ["daisy", "rose"], "confidence": ["confidence"]})
    >>> alarmed({"daisy": 900.0, "rose": 1.5, "confidence": 0.2}, tests)
    ['daisy']
    >>> alarmed({"daisy": 700.0, "rose": 1.5, "confidence": 0.2}, tests)
    []
    """
    weighted = {test: shares[test] * e_value for test, e_value in e_values.items()}
    ordered = sorted(weighted, key=lambda test: -weighted[test])
    passed = [place for place, test in enumerate(ordered, 1) if place * weighted[test] >= 2 / rate]
    return ordered[: max(passed, default=0)]


def overall_e_value(e_values: Mapping[str, float], shares: Mapping[str, float]) -> float:
    """The evidence of all tests together that anything has changed.

    The average by their shares (Vovk and Wang, E-values: Calibration, combination and
    applications, Annals of Statistics 2021); it is what people are shown.

    Args:
        e_values: By test; one that is left out counts as 1.
        shares: Of each test, as `shares` gives them.

    >>> overall_e_value({"daisy": 9.0}, {"daisy": 0.25, "rose": 0.25, "confidence": 0.5})
    3.0
    """
    return sum(share * e_values.get(test, 1.0) for test, share in shares.items())
