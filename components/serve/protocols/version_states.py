"""The states of a model's versions, as both protocols of TF Serving give them."""

from typing import Any

from components.serve.errors import RequestError
from components.serve.protocols.served_model import ServedModel


def version_states(model: ServedModel, version: str | None = None) -> list[dict[str, Any]]:
    """The version that serves, the canary, then those that are loading or failed to.

    Args:
        model: The model.
        version: The number of the version that was asked for; all where None.

    Returns:
        TF Serving's `ModelVersionStatus` of each, in protobuf's JSON form.

    Raises:
        RequestError: The version that was asked for is not there.
    """
    follower = model.follower
    # Read once each: a refresh in another thread may replace them meanwhile.
    served = [loaded for loaded in (follower.current, follower.canary) if loaded is not None]
    loading, errors = follower.loading, follower.errors
    states = [_state(loaded.version.number, "AVAILABLE") for loaded in served]
    if loading is not None:
        states.append(_state(loading, "LOADING"))
    states += [_state(number, "END", why) for number, why in errors.items() if number != loading]
    if version is None:
        return states
    found = [state for state in states if state["version"] == version]
    if not found:
        raise RequestError(f"model '{model.name}' has no version {version}", status=404)
    return found


def _state(number: int, state: str, error: str = "") -> dict[str, Any]:
    status = {"error_code": "UNKNOWN" if error else "OK", "error_message": error}
    return {"version": str(number), "state": state, "status": status}
