"""Which split a photograph belongs to: a pure function of a salt and a key."""

import hashlib

from components.ingest.settings import SplitRatios


def split_of(key: str, salt: str, ratios: SplitRatios) -> str:
    """The split of a key; no other photograph, order or worker has a say in it.

    Args:
        key: What must stay together: the group's value, or the photograph's content digest.
        salt: Chooses one of many such functions.
        ratios: Shares of the splits.

    Returns:
        `train`, `valid` or `test`.
    """
    digest = hashlib.sha256(f"{salt}\0{key}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64
    total = ratios.train + ratios.valid + ratios.test
    # Test first: moving share between train and valid never moves a test photograph.
    if position < ratios.test / total:
        return "test"
    if position < (ratios.test + ratios.valid) / total:
        return "valid"
    return "train"
