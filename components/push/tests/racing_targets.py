"""Pushes at once to one destination that is no folder: each is a whole version, or says why not."""

import concurrent.futures
import os
from collections.abc import Sequence

from components.push.targets import target_for
from components.push.targets.target import PushedVersion
from darkroom.artifacts.model import Model
from darkroom.errors import StepError

ROUNDS = int(os.environ.get("DARKROOM_RACES", "1"))
"""Rounds of three pushes at once; 50 were run when this was written."""


def race(destination: str, models: Sequence[Model]) -> list[PushedVersion]:
    """Pushes models at once, each by a command of its own.

    Args:
        destination: Where they go.
        models: The models; all differ.

    Returns:
        The versions of those that were not overtaken; at least one.
    """

    def push(model: Model) -> PushedVersion | None:
        try:
            return target_for(destination).publish(model)
        except StepError as refused:
            if "again" not in str(refused):  # what to do, where another has won
                raise
            return None

    with concurrent.futures.ThreadPoolExecutor(len(models)) as pool:
        published = [version for version in pool.map(push, models) if version is not None]
    assert published
    target = target_for(destination)
    digests = {version.number: version.digest for version in target.versions()}
    assert {version.number: version.digest for version in published}.items() <= digests.items()
    assert len({version.number for version in published}) == len(published)
    current = target.current()
    assert current is not None
    assert target.traffic() == {current.number: 100}
    assert target.log()[-1].serving == current.number
    return published
