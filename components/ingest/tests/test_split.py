"""A split is a pure function of salt and key."""

from hypothesis import given
from hypothesis import strategies as st

from components.ingest.settings import SplitRatios
from components.ingest.splits.split import split_of

RATIOS = SplitRatios()
shares = st.floats(0.01, 10)


@given(st.text(), st.text(), st.builds(SplitRatios, train=shares, valid=shares, test=shares))
def test_a_key_has_one_split(key: str, salt: str, ratios: SplitRatios) -> None:
    split = split_of(key, salt, ratios)
    assert split in ("train", "valid", "test")
    assert split == split_of(key, salt, ratios)


@given(st.text(), shares, shares)
def test_moving_share_between_train_and_valid_never_moves_a_test_photograph(
    key: str, train: float, valid: float
) -> None:
    total = train + valid
    before = SplitRatios(train=train, valid=valid, test=total / 9)
    after = SplitRatios(train=valid, valid=train, test=total / 9)
    assert (split_of(key, "s", before) == "test") == (split_of(key, "s", after) == "test")


def test_shares_are_kept() -> None:
    splits = [split_of(str(number), "salt", RATIOS) for number in range(20_000)]
    for split, share in (("train", 0.8), ("valid", 0.1), ("test", 0.1)):
        assert abs(splits.count(split) / 20_000 - share) < 0.01


def test_the_function_never_changes() -> None:
    """Pinned, since a photograph must not change its split with a release of Darkroom."""
    keys = [str(number) for number in range(30)]
    second_letters = "".join(split_of(key, "darkroom", RATIOS)[1] for key in keys)
    assert second_letters == "rrrrerarrrrrerarerrrarrrereraa"
