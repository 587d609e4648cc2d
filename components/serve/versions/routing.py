"""Which version answers a request: the one that serves, or the canary for a share of them."""

import zlib
from collections.abc import Iterable

from components.serve.errors import RequestError
from components.serve.versions.follower import VersionFollower
from components.serve.versions.loaded_model import LoadedModel
from darkroom.settings import nearest


def version_for(
    follower: VersionFollower,
    content: Iterable[bytes],
    version: str | None = None,
    label: str | None = None,
) -> LoadedModel | None:
    """The version that answers a request; the same one for the same request, at one share.

    Args:
        follower: What holds the versions.
        content: The request's bytes, in parts.
        version: The number of the version that was asked for, if any.
        label: The label that was asked for, if any: `stable` is the version that serves, `canary`
            the canary, as is usual with TF Serving.

    Returns:
        The version; None while none is loaded.

    Raises:
        RequestError: The version that was asked for, by number or label, is not served.
    """
    current, canary, share = follower.current, follower.canary, follower.share
    if version is not None and current is not None:
        served = [model for model in (current, canary) if model is not None]
        for model in served:
            if str(model.version.number) == version:
                return model
        numbers = " and ".join(str(model.version.number) for model in served)
        verb = "is" if len(served) == 1 else "are"
        raise RequestError(f"version {version} is not served; version {numbers} {verb}", status=404)
    if label is not None and current is not None:
        labelled = {"stable": current} | ({"canary": canary} if canary else {})
        if label not in labelled:
            raise RequestError(
                f"no version that is served has the label '{label}'{nearest(label, labelled)}",
                status=404,
            )
        return labelled[label]
    if canary is not None and share and _percentile(content) < share:
        return canary
    return current


def _percentile(content: Iterable[bytes]) -> int:
    digest = 0
    for part in content:
        digest = zlib.crc32(part, digest)
    return digest % 100
