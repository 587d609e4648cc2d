"""Asks the trigger server to start a retraining's run on its cluster."""

import dataclasses
import json
import logging
import os
import urllib.error
import urllib.request

from components.monitor.retraining.claims import Retraining
from components.monitor.retraining.settings import TriggerSettings

_SECONDS = 60.0
_log = logging.getLogger("darkroom.monitor")


def ask_for_run(retraining: Retraining, settings: TriggerSettings) -> str:
    """Asks for a run; asked again for the same retraining, the server names the run it started.

    Args:
        retraining: The retraining.
        settings: Where the server is.

    Returns:
        The run's id; "" if none started, or the server did not answer: the next look asks again.
    """
    body = {"reason": retraining.reason, "retraining": dataclasses.asdict(retraining)}
    headers = {"content-type": "application/json"}
    if secret := os.environ.get(settings.secret, ""):
        headers["authorization"] = f"Bearer {secret}"
    request = urllib.request.Request(
        f"{settings.address.rstrip('/')}/quality", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            said = json.load(answer)
            run = str(said.get("run", ""))
    except (OSError, ValueError, AttributeError) as error:
        detail = ""
        if isinstance(error, urllib.error.HTTPError):
            detail = f": {error.read(300).decode(errors='replace')}"
        _log.warning("the trigger server at %s: %s%s", settings.address, error, detail)
        return ""
    if not run:
        _log.info("no run yet: %s", said.get("reason", "the server did not say why"))
    return run
