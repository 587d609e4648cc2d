"""Rows of tables that say the same as an earlier one: an image and its label once more."""

from collections import defaultdict

import numpy as np

from components.ingest.sources.blocks import Keys, Place, Repeat

_PLACE, _LINE = 2, 3


def find_repeats(keys: Keys) -> dict[Place, list[Repeat]]:
    """Finds rows whose key an earlier one has.

    Args:
        keys: Of rows, [N, 4]; all that are equal are among them.

    Returns:
        The later ones, by block.
    """
    found: dict[Place, list[Repeat]] = defaultdict(list)
    if not len(keys):
        return found
    keys = keys[np.lexsort(keys.T[[_LINE, _PLACE, 1, 0]])]
    starts = np.ones(len(keys), bool)
    starts[1:] = (keys[1:, :_PLACE] != keys[:-1, :_PLACE]).any(axis=1)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(keys)), 0))
    for row, earlier in zip(keys[~starts].tolist(), keys[first[~starts]].tolist(), strict=True):
        place = (row[_PLACE] >> 32, row[_PLACE] & 0xFFFFFFFF)
        repeat = Repeat(row[_LINE], earlier[_PLACE] >> 32, earlier[_LINE])
        found[place].append(repeat)
    return found
