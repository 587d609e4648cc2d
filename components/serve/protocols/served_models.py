"""The models of a server, and whether it serves."""

import asyncio
from collections.abc import Callable, Iterator

from components.serve.errors import RequestError
from components.serve.protocols.served_model import ServedModel
from components.serve.settings import ServeSettings
from components.serve.versions.follower import VersionFollower
from darkroom.settings import nearest


class ServedModels:
    """The models by name, each with versions, batches and samples of its own.

    Args:
        settings: The models and the server's limits.
        is_idle: Whether the server answers nobody now.

    Attributes:
        changed: Set, and replaced by another, once the server serves and once it stops to.
        stopping: Set from SIGTERM on.
    """

    def __init__(self, settings: ServeSettings, is_idle: Callable[[], bool]) -> None:
        self.changed = asyncio.Event()
        self.stopping = asyncio.Event()
        self._models = {
            name: ServedModel(
                name,
                VersionFollower(place, name, settings.public_key),
                settings,
                is_idle,
                self.drain,
            )
            for name, place in settings.models.items()
        }

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._models.values())

    @property
    def names(self) -> list[str]:
        """The models' names, in the order of the settings."""
        return list(self._models)

    @property
    def serving(self) -> bool:
        """Whether a version of every model is loaded and the server is not about to end."""
        return all(model.ready for model in self) and not self.stopping.is_set()

    def find(self, name: str) -> ServedModel:
        """The model of a name.

        Raises:
            RequestError: There is none.
        """
        if name not in self._models:
            raise RequestError(f"unknown model '{name}'{nearest(name, self._models)}", status=404)
        return self._models[name]

    def begin(self) -> None:
        """Tells health checks that the server serves."""
        self._note_change()

    def drain(self) -> None:
        """Answers what has begun, and tells health checks that the server ends."""
        self.stopping.set()
        self._note_change()

    def close(self) -> None:
        """Ends what the models do by themselves, and writes what waits to be; called last."""
        for model in self:
            model.close()

    def _note_change(self) -> None:
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
