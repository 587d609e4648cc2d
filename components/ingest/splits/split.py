"""Which split a photograph belongs to: the one that it is given, or a pure function of a key."""

import hashlib
from collections.abc import Sequence

from components.ingest.settings import SplitRatios
from darkroom.artifacts.examples import SPLITS

_SPELLINGS = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "validate", "dev", "development"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_NAMED = {spelling: split for split, spellings in _SPELLINGS.items() for spelling in spellings}


def named_split(text: str) -> str | None:
    """The split that a text names, as people and other tools spell it; None for no split.

    >>> named_split("Val"), named_split("roses")
    ('valid', None)
    """
    return _NAMED.get(text.strip().lower())


def group_key(group: str) -> int:
    """A group's value as a number of 64 bits, by which equal ones are found."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")


def split_of(key: str, salt: str, ratios: SplitRatios, splits: Sequence[str] = SPLITS) -> str:
    """The split of a key; no other photograph, order or worker has a say in it.

    Args:
        key: What must stay together: the group's value, or the photograph's content digest.
        salt: Chooses one of many such functions.
        ratios: Shares of the splits.
        splits: The splits that it may fall into.

    Returns:
        `train`, `valid` or `test`.
    """
    if len(splits) == 1:
        return splits[0]
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    shares = {split: getattr(ratios, split) * (split in splits) for split in SPLITS}
    total = sum(shares.values())
    # Test first: moving share between train and valid never moves a test photograph.
    if position < shares["test"] / total:
        return "test"
    if position < (shares["test"] + shares["valid"]) / total:
        return "valid"
    return "train"
