"""Photographs that a model labelled, beside those that people did: they never have a say.

They lose to a photograph in train that has the same bytes or the same perceptual hash, whatever its
label; and none may be in train that is, or nearly is, one of valid or test, or is of its group.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.splits.copy import Copy
from components.ingest.splits.sightings import ordinals
from darkroom.artifacts.rejected import Reason


def with_a_say(group: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of equal photographs those that people labelled; if none is, all of them.

    Args:
        group: Rows of sightings.
    """
    return [each for each in group if not each["pseudo_labelled"]] or list(group)


def beside_equal_files(group: Sequence[Mapping[str, Any]], image_id: str) -> dict[int, Copy]:
    """Of photographs of equal bytes those that a model labelled, where a person labelled one.

    Args:
        group: Rows of sightings.
        image_id: Their content digest.

    Returns:
        Why they go, by ordinal.
    """
    labelled = with_a_say(group)
    if len(labelled) == len(group):
        return {}
    copy = _beside({each["split"] for each in labelled}, f"the same bytes as image {image_id}")
    copy = Copy(copy.reason, copy.detail, image_id)
    return {each["ordinal"]: copy for each in group if each["pseudo_labelled"]}


def beside_equal_pictures(alike: pa.Table) -> dict[int, Copy]:
    """The same of photographs of equal perceptual hashes.

    Args:
        alike: Sightings, all that have any of their perceptual hashes.
    """
    is_marked, hashes = alike.column("pseudo_labelled"), alike.column("perceptual_hash")
    marked = alike.filter(is_marked)
    if not marked.num_rows:
        return {}
    asked = pc.is_in(hashes, marked.column("perceptual_hash").combine_chunks())
    labelled = alike.filter(pc.and_(pc.invert(is_marked), asked))
    splits: dict[int, set[str]] = {}
    for value, split in _rows(labelled, "perceptual_hash", "split"):
        splits.setdefault(value, set()).add(split)
    return {
        ordinal: _beside(splits[value], "it looks the same as a photograph")
        for ordinal, value in _rows(marked, "ordinal", "perceptual_hash")
        if value in splits
    }


def of_groups_held_out(ours: pa.Table, theirs: pa.Table) -> dict[int, Copy]:
    """Photographs that a model labelled, of a group that others have in valid or test.

    Args:
        ours: Sightings in train.
        theirs: Sightings in valid and test.
    """
    asked = pc.and_(
        ours.column("pseudo_labelled"),
        pc.is_in(
            ours.column("group_key"),
            theirs.column("group_key").combine_chunks(),
            skip_nulls=True,
        ),
    )
    found = ordinals(ours)[np.flatnonzero(asked.to_numpy())].tolist()
    detail = "others of its group are in valid or test"
    return dict.fromkeys(found, Copy(Reason.PSEUDO_LABEL_HELD_OUT, detail, None))


def _beside(splits: set[str], said: str) -> Copy:
    """Why a photograph goes that is one of these splits."""
    held_out = sorted(splits - {"train"})
    if held_out:
        return Copy(Reason.PSEUDO_LABEL_HELD_OUT, f"{said} in {held_out[0]}", None)
    return Copy(Reason.DUPLICATE, f"{said} that a person labelled", None)


def _rows(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    columns = (table.column(name).to_pylist() for name in names)
    return list(zip(*columns, strict=True))
