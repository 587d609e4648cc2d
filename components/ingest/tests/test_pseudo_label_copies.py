"""Whatever a model labels, people's photographs stay as they are, and no test photograph leaks."""

from collections.abc import Sequence
from typing import Literal

import hypothesis
import pytest
from hypothesis import strategies

from components.ingest.settings import IngestSettings
from components.ingest.tests.test_duplicates import HashedImage, find_copies
from darkroom.artifacts.rejected import Reason

_PICTURES = (0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF, 0x3333333333333333)
"""Hashes that are far from each other."""


@strategies.composite
def sighting(draw: strategies.DrawFn) -> HashedImage:
    """One of twelve files, of which some look alike, and some nearly; by a person or a model."""
    picture, change, file = (draw(strategies.integers(0, top)) for top in (2, 1, 1))
    marked = draw(strategies.booleans())
    label = draw(strategies.sampled_from(("rose", "tulip")))
    split = "train" if marked else draw(strategies.sampled_from(("train", "valid", "test")))
    return HashedImage(
        image_id=f"{picture}-{change}-{file}",
        perceptual_hash=_PICTURES[picture] ^ change,
        label=label,
        split=split,
        labels=(label,),
        pseudo_labelled=marked,
        group_key=draw(strategies.integers(0, 8)),
    )


@pytest.mark.parametrize("duplicates", ["reject", "keep"])
@pytest.mark.parametrize("conflicts", ["reject", "keep"])
@pytest.mark.parametrize("distance", [6, -1])
@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(sightings=strategies.lists(sighting(), max_size=14))
def test_marked_photographs_have_no_say(
    sightings: Sequence[HashedImage],
    distance: int,
    conflicts: Literal["reject", "keep"],
    duplicates: Literal["reject", "keep"],
) -> None:
    settings = IngestSettings(
        near_duplicate_distance=distance,
        conflicting_labels=conflicts,
        duplicates=duplicates,
        group_by="patient",
    )
    found = find_copies(sightings, settings)
    own = [place for place, each in enumerate(sightings) if not each.pseudo_labelled]
    alone = find_copies([sightings[place] for place in own], settings)
    assert {at: found.dropped[place] for at, place in enumerate(own) if place in found.dropped} == (
        alone.dropped
    )
    assert {
        at: found.merged_labels[place]
        for at, place in enumerate(own)
        if place in found.merged_labels
    } == alone.merged_labels
    kept = [each for place, each in enumerate(sightings) if place not in found.dropped]
    held_out = [each for each in kept if each.split != "train"]
    labelled = [sightings[place] for place in own]
    seen = {each.perceptual_hash for each in kept if not each.pseudo_labelled}
    for each in kept:
        if each.pseudo_labelled:
            assert each.image_id not in {other.image_id for other in labelled}
            assert each.group_key not in {other.group_key for other in held_out}
            for other in held_out if distance >= 0 else ():
                assert (each.perceptual_hash ^ other.perceptual_hash).bit_count() > distance
            if distance >= 0 and conflicts == "reject":
                assert each.perceptual_hash not in seen
    reasons = {
        place
        for place, copy in found.dropped.items()
        if copy.reason == Reason.PSEUDO_LABEL_HELD_OUT
    }
    assert all(sightings[place].pseudo_labelled for place in reasons)
