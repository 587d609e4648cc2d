"""Carries out what the push log says: folders take other names, also for a killed command."""

import logging
import time
from collections.abc import Sequence

from darkroom.artifacts.model_repository import LAST_FILES, is_complete, listed
from darkroom.artifacts.push_log import Entry, PushLog, is_carried_out, mark_as_carried_out
from darkroom.errors import StepError
from darkroom.storage import files, folders

_PATIENCE = 30.0
"""Seconds without any progress after which a command is taken for killed."""
_POLL = 0.1
_log = logging.getLogger("darkroom.push")


def complete(log: PushLog) -> Entry | None:
    """Carries out what a killed command has only logged; gives its entry if there was any."""
    return log.last if log.last and take_over(log.repository, log.last) else None


def take_over(repository: str, entry: Entry) -> bool:
    """Waits until an entry is carried out, or carries it out; whether it did.

    In a bucket a folder is renamed object by object. Of two commands that did so at once, one
    could bring back what a third has since removed: whoever wrote the entry has its time first.
    """
    before, since = None, time.monotonic()
    with files.clear_errors(f"cannot read {repository}", StepError):
        while not is_carried_out(repository, entry):
            left = _left_to_move(repository, entry)
            now = [folders.files_below(f"{repository}/{name}") for move in left for name in move]
            if not left:
                mark_as_carried_out(repository, entry)
            elif now != before:
                before, since = now, time.monotonic()
            elif time.monotonic() - since > _PATIENCE:
                _log.warning("%s by %s was cut off: it is completed", entry.action, entry.who)
                carry_out(repository, entry)
                return True
            time.sleep(_POLL)
    return False


def carry_out(repository: str, entry: Entry) -> None:
    """Gives folders the names that an entry says."""
    with files.clear_errors(f"cannot rename in {repository}", StepError):
        for source, target in _left_to_move(repository, entry):
            try:
                folders.move_folder(f"{repository}/{source}", f"{repository}/{target}", LAST_FILES)
            except FileNotFoundError:
                # It was slow, was taken for killed, and another command has made the move.
                if not is_complete(f"{repository}/{target}"):
                    raise
        mark_as_carried_out(repository, entry)


def _left_to_move(repository: str, entry: Entry) -> list[Sequence[str]]:
    present = set(listed(repository)[0]) if entry.moves else set()
    # A bucket may hold an empty object that marks a folder.
    return [
        move
        for move in entry.moves
        if move[0] in present and folders.files_below(f"{repository}/{move[0]}")
    ]
