"""What to label next: for which reason, each photograph once, within the budget."""

import numpy as np
import pyarrow as pa
import pytest

from components.monitor.labelling.choice import Reason, choose, divide
from components.monitor.labelling.distinct import Distinct
from components.monitor.labelling.diversity import draw_diverse
from components.monitor.labelling.pool import Pool, read_pool
from components.monitor.labelling.settings import LabellingSettings, ReasonShares
from components.monitor.labelling.uncertainty import closeness, unsureness
from darkroom.errors import DarkroomError
from darkroom.settings import validate_settings

LABELS = ("daisy", "rose", "tulip")
ONLY = {"uncertain": 0.0, "near_threshold": 0.0, "mislabelled": 0.0, "unlike_known": 0.0}


def settings_of(budget: int, **shares: float) -> LabellingSettings:
    chosen = {"shares": ONLY | shares} if shares else {}
    return validate_settings(LabellingSettings, {"budget": budget} | chosen)


def pool_of(count: int = 400, seed: int = 0, known: int = 0, wrong: int = 0) -> Pool:
    """Photographs of which the first `known` have a label, the first `wrong` a wrong one."""
    generator = np.random.default_rng(seed)
    true = generator.integers(3, size=count)
    sure = np.where(np.arange(count) < known, 0.95, generator.uniform(0.4, 1, count))
    probabilities = (1 - sure)[:, None] / 3 + sure[:, None] * np.eye(3)[true]
    embeddings = generator.normal(size=(count, 16)) + 4 * np.eye(16)[true]
    given = np.zeros((count, 3), bool)
    given[np.arange(known), (true[:known] + (np.arange(known) < wrong)) % 3] = True
    return Pool(
        LABELS,
        tuple(f"{place}.jpg" for place in range(count)),
        tuple(f"{place:064x}" for place in range(count)),
        probabilities,
        embeddings.astype(np.float32),
        np.arange(count) < known,
        given,
    )


def test_badge_by_products_is_kmeans_in_the_gradients_themselves() -> None:
    pool = pool_of(60)
    lacking = pool.answers - pool.probabilities
    gradients = np.einsum("nk,nd->nkd", lacking, pool.embeddings).reshape(60, -1)
    # k-means++ whose first centre is the gradient of a photograph that the model is sure of.
    generator, expected = np.random.default_rng(3), []
    order = np.argsort(-np.square(gradients).sum(axis=1), kind="stable")
    gradients = gradients[order]
    centres = [np.zeros(gradients.shape[1])]
    for _ in range(10):
        squared = np.min([np.square(gradients - centre).sum(axis=1) for centre in centres], axis=0)
        place = int(generator.choice(60, p=squared / squared.sum()))
        centres.append(gradients[place])
        expected.append(int(order[place]))
    assert draw_diverse(lacking, pool.embeddings, 10, seed=3) == expected


def test_unsure_photographs_are_drawn_and_of_all_kinds() -> None:
    pool = pool_of(2000)
    drawn = draw_diverse(pool.answers - pool.probabilities, pool.embeddings, 60)
    assert len(set(drawn)) == 60
    assert unsureness(pool)[drawn].mean() > 1.3 * unsureness(pool).mean()
    assert np.bincount(pool.probabilities[drawn].argmax(axis=1), minlength=3).min() >= 10
    everything = draw_diverse(pool.answers - pool.probabilities, pool.embeddings, 5000)
    assert sorted(everything) == list(range(2000))


def test_no_photograph_of_which_the_model_is_certain_is_drawn() -> None:
    assert draw_diverse(np.zeros((5, 3)), np.ones((5, 2)), 3) == []


def test_near_the_thresholds_are_those_between_two_labels() -> None:
    pool = pool_of(300)
    chosen = choose(pool, settings_of(20, near_threshold=1))
    highest = np.sort(pool.probabilities, axis=1)
    margins = highest[:, -1] - highest[:, -2]
    assert {choice.place for choice in chosen} == set(np.argsort(margins)[:20].tolist())
    assert [choice.closeness for choice in chosen] == pytest.approx(np.sort(1 - margins)[:-21:-1])


def test_near_the_thresholds_of_several_labels() -> None:
    pool = Pool(
        ("cat", "dog"),
        ("a", "b", "c"),
        ("a", "b", "c"),
        np.array([[0.9, 0.31], [0.9, 0.05], [0.2, 0.95]]),
        np.eye(3, dtype=np.float32),
        np.zeros(3, bool),
        np.zeros((3, 2), bool),
        thresholds=np.array([0.5, 0.3]),
    )
    assert closeness(pool) == pytest.approx([1 - 0.01 / 0.7, 0.2, 0.4])
    assert [pool.names(row) for row in pool.answers] == [("cat", "dog"), ("cat",), ("dog",)]
    assert choose(pool, settings_of(1, near_threshold=1))[0].place == 0
    assert len(choose(pool, settings_of(3, uncertain=1))) == 3


@pytest.mark.slow  # cleanlab asks the system for its processors
def test_labels_that_are_likely_wrong_are_chosen_of_labelled_ones() -> None:
    pool = pool_of(known=300, wrong=15)
    chosen = choose(pool, settings_of(15, mislabelled=1))
    found = {choice.place for choice in chosen}
    assert found <= set(range(15))
    assert len(found) >= 12
    # What it cannot fill goes to the others that have a share.
    more = choose(pool, settings_of(60, mislabelled=1, uncertain=0.01))
    assert len(more) == 60
    assert all(choice.place >= 300 for choice in more if choice.reason == Reason.UNCERTAIN)


@pytest.mark.slow  # as above
def test_of_several_labels_those_likely_wrong_are_chosen() -> None:
    generator = np.random.default_rng(0)
    true = generator.random((200, 3)) < 0.4
    given = true.copy()
    given[:6, 0] ^= True
    pool = Pool(
        LABELS,
        tuple(map(str, range(200))),
        tuple(map(str, range(200))),
        np.where(true, 0.95, 0.05),
        generator.normal(size=(200, 8)).astype(np.float32),
        np.ones(200, bool),
        given,
        thresholds=np.full(3, 0.5),
    )
    found = {choice.place for choice in choose(pool, settings_of(10, mislabelled=1))}
    assert found <= set(range(6))
    assert len(found) >= 4


@pytest.mark.slow  # scikit-learn's neighbours ask the system for its processors
def test_what_is_unlike_all_known_is_chosen_the_farthest_first() -> None:
    pool, reference = pool_of(300), pool_of(400, seed=9).embeddings
    axes = np.eye(16, dtype=np.float32)
    pool.embeddings[:8] += 20 * (axes[3:11] - axes[:3].sum(axis=0))  # away from all labels
    pool.embeddings[0] = 2 * pool.embeddings[1]  # a near-duplicate
    chosen = choose(pool, settings_of(7, unlike_known=1), reference)
    assert {choice.place for choice in chosen} - {0, 1} == set(range(2, 8))
    assert len({choice.place for choice in chosen} & {0, 1}) == 1
    distances = [choice.distance for choice in chosen]
    assert None not in distances
    assert distances == sorted(distances, reverse=True)  # type: ignore[type-var]
    assert choose(pool, settings_of(8, unlike_known=1)) == []


@pytest.mark.slow  # as above
def test_all_reasons_share_one_budget_and_the_same_seed_gives_the_same() -> None:
    pool, reference = pool_of(known=200, wrong=20), pool_of(400, seed=9).embeddings
    pool.embeddings[250:260] = 20 * np.random.default_rng(1).normal(size=(10, 16))
    first, again = (choose(pool, settings_of(50), reference) for _ in range(2))
    assert first == again
    assert len(first) == 50 == len({choice.place for choice in first})
    counts = {reason: [c.reason for c in first].count(reason) for reason in Reason}
    assert counts == divide(50, ReasonShares())
    assert all((c.reason == Reason.MISLABELLED) == bool(pool.labelled[c.place]) for c in first)
    other = settings_of(50).model_copy(update={"seed": 1})
    assert choose(pool, other, reference) != first


def test_copies_and_what_is_like_a_labelled_one_are_chosen_once_or_not_at_all() -> None:
    pool = pool_of(100, known=20)
    pool.embeddings[60:] = pool.embeddings[20:60] * 1.01  # each of the others once more
    pool.embeddings[20] = pool.embeddings[0]  # and one of a photograph that has a label
    chosen = choose(pool, settings_of(100, uncertain=1))
    places = {choice.place for choice in chosen}
    assert len(places) == 39 + 1  # the twin of the 20th is unlike it by now
    assert 20 not in places
    assert not places & set(range(20))


def test_distinct_tells_directions() -> None:
    distinct = Distinct(np.eye(3, dtype=np.float32), 5 * np.eye(3, dtype=np.float32)[:1])
    assert not distinct.take(0, beside_known=True)
    assert distinct.take(0, beside_known=False)
    assert not distinct.take(0, beside_known=False)
    assert distinct.take(1, beside_known=True)


@pytest.mark.parametrize("budget", range(1, 30))
def test_parts_add_up(budget: int) -> None:
    parts = divide(budget, ReasonShares(uncertain=1, near_threshold=1, mislabelled=1))
    assert sum(parts.values()) == budget
    assert max(parts.values()) - parts[Reason.NEAR_THRESHOLD] <= 1


def predictions() -> pa.Table:
    return pa.table(
        {
            "image": ["a.jpg", "b.jpg", "copy of a.jpg", "c.jpg"],
            "image_id": ["aa", "bb", "aa", "cc"],
            "probabilities": pa.array(
                [[0.5, 0.5], [0.1, 0.9], [0.5, 0.5], [float("nan"), 0.1]],
                pa.list_(pa.float32(), 2),
            ),
            "embedding": pa.array([[1.0, 2.0, 3.0]] * 4, pa.list_(pa.float32(), 3)),
        }
    )


def test_a_pool_has_each_photograph_once_and_what_is_finite() -> None:
    known = {"bb": ["rose"], "aa": ["orchid"], "zz": ["rose"]}
    pool = read_pool(predictions(), ("daisy", "rose"), known, folder="/photographs/")
    assert pool.images == ("/photographs/a.jpg", "/photographs/b.jpg")
    assert pool.left_out == 2
    assert pool.labelled.tolist() == [True, True]
    assert pool.given.tolist() == [[False, False], [False, True]]
    assert pool.embeddings.shape == (2, 3)
    # A label that is new to the model is a label all the same: there is nothing to choose.
    assert choose(pool, settings_of(5, uncertain=1, near_threshold=1)) == []


def test_predictions_that_cannot_be_chosen_from_are_one_line() -> None:
    with pytest.raises(DarkroomError, match="predict with embedding: true"):
        read_pool(predictions().drop_columns("embedding"), ("daisy", "rose"))
    with pytest.raises(DarkroomError, match="no photograph with finite"):
        read_pool(predictions().slice(3), ("daisy", "rose"))
    with pytest.raises(DarkroomError, match="one of the shares must be above 0"):
        settings_of(5, uncertain=0)
