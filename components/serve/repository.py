"""KServe's model repository API, which here is read-only."""

from typing import NoReturn

from kserve.errors import InvalidInput
from kserve.protocol.model_repository_extension import ModelRepositoryExtension


class FolderRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """Refuses to load and unload: whoever can reach the port could otherwise end the service."""

    async def load(self, model_name: str) -> NoReturn:
        """Refuses."""
        raise InvalidInput(f"{model_name} is served from its directory: push a version")

    async def unload(self, model_name: str) -> NoReturn:
        """Refuses."""
        raise InvalidInput(f"{model_name} is served from its directory: roll it back")
