"""Embeddings: the kernel's test, the classifier's direction, distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from components.monitor.drift.distance import neighbour_distances, share_beyond
from components.monitor.drift.domain import fit_direction, ranks_along, separability
from components.monitor.drift.kernel import ROWS, bandwidth, kernel_test
from components.monitor.drift.ranks import highest_mean_rank, ranks
from components.monitor.sequential.evidence import Evidence, add_window


def normal(count: int, seed: int, shift: float = 0.0, dimensions: int = 8) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(count, dimensions))
    found[:, 0] += shift
    return found


def test_the_discrepancy_is_the_unbiased_estimate_of_its_formula() -> None:
    new, old, width = normal(7, 0, 1.0), normal(9, 1), 3.0

    def kernel(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.exp(-((one - other) ** 2).sum() / (2 * width**2)))

    among_new = [kernel(a, b) for i, a in enumerate(new) for j, b in enumerate(new) if i != j]
    among_old = [kernel(a, b) for i, a in enumerate(old) for j, b in enumerate(old) if i != j]
    across = [kernel(a, b) for a in new for b in old]
    expected = np.mean(among_new) + np.mean(among_old) - 2 * np.mean(across)
    assert kernel_test(new, old, width).mmd2 == pytest.approx(expected, abs=1e-9)


def test_p_values_of_the_kernel_are_uniform_without_a_change_and_small_with_one() -> None:
    reference = normal(80, 1000)
    width = bandwidth(reference)
    same, other = (
        [kernel_test(normal(60, seed, shift), normal(80, 500 + seed), width, 99).p_value
         for seed in range(60)]
        for shift in (0.0, 1.5)
    )  # fmt: skip
    assert np.mean(np.array(same) <= 0.1) <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 60)
    assert np.mean(same) == pytest.approx(0.5, abs=0.12)
    assert max(other) <= 0.05


def test_large_windows_are_sampled_and_the_same_seed_gives_the_same() -> None:
    large, reference = normal(20 * ROWS, 0).astype(np.float32), normal(300, 1)
    first, again = (kernel_test(large, reference, 3.0, 50) for _ in range(2))
    assert first == again
    assert bandwidth(large) == pytest.approx(
        float(np.median(cdist(large[:500], large[500:900]))), rel=0.02
    )


def test_the_mean_rank_is_the_area_under_the_classifiers_curve() -> None:
    recent, fitted, held_out, window = (
        normal(100, 0, 1),
        normal(90, 1),
        normal(80, 2),
        normal(70, 3, 1),
    )
    direction = fit_direction(recent, fitted)
    scaler = StandardScaler().fit(fitted)
    is_new = np.repeat([1, 0], [100, 90])
    model = LogisticRegression(C=0.001, class_weight="balanced").fit(
        scaler.transform(np.concatenate([recent, fitted])), is_new
    )
    scores = model.decision_function(scaler.transform(np.concatenate([window, held_out])))
    auc = roc_auc_score(np.repeat([1, 0], [70, 80]), scores)
    assert ranks_along(direction, window, held_out).mean() == pytest.approx(auc, abs=1e-6)
    assert auc > 0.65


def test_a_constant_column_does_no_harm() -> None:
    recent, fitted = normal(50, 0), normal(50, 1)
    recent[:, 3] = fitted[:, 3] = 7.0
    assert np.isfinite(fit_direction(recent, fitted)).all()


def test_a_shifted_embedding_is_found_in_the_second_window_that_has_it() -> None:
    fitted, held_out = normal(400, 0), normal(400, 1)
    evidence, direction, wealth = Evidence(), None, []
    for look in range(1, 9):
        window = normal(200, 10 + look, 1.0 if look > 6 else 0.0)
        if direction is not None:
            allowed = highest_mean_rank(400, 1e-5)
            evidence = add_window(evidence, ranks_along(direction, window, held_out), allowed)
        direction = fit_direction(window, fitted)
        wealth.append(evidence.e_value)
    assert max(wealth[:7]) < 2
    assert wealth[7] > 1000


@pytest.mark.parametrize("count", [30, 200])
def test_the_mean_rank_of_photographs_like_the_reference_is_within_its_range(count: int) -> None:
    generator = np.random.default_rng(0)
    # The mean rank of very many new values is 1 less the mean true rank of the reference's.
    truth = 1 - generator.random((30_000, count)).mean(axis=1)
    outside = truth > highest_mean_rank(count, 0.001).high
    assert outside.mean() <= 0.001
    assert (truth > highest_mean_rank(count, 0.05).high).mean() > 0.001  # and not far within


def test_equal_values_share_a_rank() -> None:
    reference = [1.0, 2.0, 2.0, 2.0, 3.0]
    assert ranks(reference, reference).tolist() == pytest.approx([0.1, 0.5, 0.5, 0.5, 0.9])
    assert ranks([0.0, 9.0], reference).tolist() == [0.0, 1.0]


def test_separability_is_half_by_chance_and_nearly_one_far_away() -> None:
    assert separability(normal(200, 0), normal(200, 1)) == pytest.approx(0.5, abs=0.1)
    assert separability(normal(200, 0, 4), normal(200, 1)) > 0.98


@pytest.mark.slow  # scikit-learn's neighbours ask the system for its processors
def test_distances_are_those_of_the_fifth_nearest() -> None:
    reference, window = normal(300, 0), normal(40, 1, 6)
    expected = np.sort(cdist(window, reference), axis=1)[:, 4]
    found = neighbour_distances(window, reference)
    assert found == pytest.approx(expected, abs=1e-6)
    near = neighbour_distances(normal(500, 2), reference)
    assert share_beyond(found, near) > 0.9
    assert share_beyond(neighbour_distances(normal(500, 3), reference), near) < 0.04
