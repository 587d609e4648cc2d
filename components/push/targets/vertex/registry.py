"""Model Registry: a model of the destination's name, in it a version a pushed model.

A version there is known by the digest of its files, which a label holds: the same files are
uploaded once, whatever number they are pushed under and however often a push was cut off. Vertex
copies the files, so that the folder they came from may take another name.
"""

from collections.abc import Collection, Mapping
from typing import Any

from google.cloud.aiplatform_v1.types import Model

from components.push.targets.target import PushedVersion
from components.push.targets.vertex.api import CALL_SECONDS, Api
from components.push.targets.vertex.evaluation import imported_evaluation
from components.push.targets.vertex.explanation import explanation_spec
from darkroom.errors import StepError

DIGEST_LABEL = "darkroom_digest"
_LONGEST_LABEL = 63
DEFAULT, CANARY = "default", "canary"
"""Aliases of what serves and of the canary; Vertex takes the first for a model without version."""


def digest_label(digest: str) -> str:
    """A digest as a label's value: 63 of its 64 characters, which is as long as one may be."""
    return digest[:_LONGEST_LABEL]


class Registry:
    """The versions of a destination's model.

    Args:
        api: The connection.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._destination = api.destination

    def versions(self) -> dict[str, Any]:
        """The versions that Darkroom uploaded, by the label of their digest."""
        return self._api.call(self._versions)

    def ensure(self, version: PushedVersion) -> Any:
        """The version of Model Registry that has a pushed version's files; uploaded if missing.

        Args:
            version: Complete in the model repository, under whatever name.

        Raises:
            StepError: It is refused, or was not pushed by Darkroom.
        """
        if version.digest is None:
            raise StepError(
                f"{version.location} was not pushed by Darkroom: Vertex does not get it"
            )
        label = digest_label(version.digest)

        def begin() -> Any | None:
            if label in self._versions():
                return None
            parent = self._model()
            request: dict[str, Any] = {
                "parent": self._destination.parent,
                "model": self._described(version, label),
            }
            # A model that is not there gets an id that only one of several uploads can have.
            request |= {"parent_model": parent} if parent else {"model_id": self._destination.name}
            return self._api.models.upload_model(request, timeout=CALL_SECONDS)

        self._api.ensure(
            f"the upload of version {version.number} to Model Registry",
            self._api.models,
            self._model_or_id(),
            begin,
        )
        found = self.versions()[label]
        self._ensure_evaluation(version, found)
        return found

    def ensure_aliases(self, wanted: Mapping[int, Any], serving: int, canary: int | None) -> bool:
        """Points the aliases at what serves and at the canary.

        Args:
            wanted: The versions of Model Registry, by their number in the model repository.
            serving: The number of the version that serves.
            canary: The canary's.

        Returns:
            Whether any alias was moved.
        """
        was_elsewhere = False
        for number, version in wanted.items():
            aliases = [f"v{number}", *([DEFAULT] if number == serving else [])]
            aliases += [CANARY] if number == canary else []
            was_elsewhere |= self._merge(version, set(aliases) - set(version.version_aliases))
        at_canary = None if canary is None else wanted[canary].version_id
        for version in self.versions().values():
            if CANARY in version.version_aliases and version.version_id != at_canary:
                was_elsewhere |= self._merge(version, {f"-{CANARY}"})
        return was_elsewhere

    def prune(self, kept: Collection[str]) -> None:
        """Removes what Darkroom uploaded, save for the models of some digests."""
        labels = {digest_label(digest) for digest in kept}
        for label in self.versions().keys() - labels:

            def begin(label: str = label) -> Any | None:
                version = self._versions().get(label)
                if version is None or DEFAULT in version.version_aliases:
                    return None
                return self._api.models.delete_model_version(
                    name=version_name(version), timeout=CALL_SECONDS
                )

            self._api.ensure(
                "the removal of a version from Model Registry",
                self._api.models,
                self._model_or_id(),
                begin,
            )

    def _described(self, version: PushedVersion, label: str) -> Any:
        provenance = version.manifest.get("pushed", {}).get("provenance", {})
        run = provenance.get("run")
        return Model(
            display_name=self._destination.name,
            version_aliases=[f"v{version.number}"],
            version_description=f"run {run}" if run else "",
            labels={DIGEST_LABEL: label},
            artifact_uri=version.location,
            container_spec={"image_uri": self._destination.image},
            explanation_spec=explanation_spec(version.location),
        )

    def _ensure_evaluation(self, version: PushedVersion, found: Any) -> None:
        wanted = imported_evaluation(version)
        if wanted is None:
            return

        def work() -> None:
            name = version_name(found)
            there = self._api.models.list_model_evaluations(parent=name, timeout=CALL_SECONDS)
            if all(each.display_name != wanted.display_name for each in there):
                self._api.models.import_model_evaluation(
                    parent=name, model_evaluation=wanted, timeout=CALL_SECONDS
                )

        self._api.call(work)

    def _merge(self, version: Any, aliases: Collection[str]) -> bool:
        if not aliases:
            return False
        self._api.call(
            lambda: self._api.models.merge_version_aliases(
                name=version_name(version), version_aliases=sorted(aliases), timeout=CALL_SECONDS
            )
        )
        return True

    def _versions(self) -> dict[str, Any]:
        parent = self._model()
        if parent is None:
            return {}
        request = {"name": parent, "filter": f"labels.{DIGEST_LABEL}:*"}
        found = list(self._api.models.list_model_versions(request, timeout=CALL_SECONDS))
        # Of two pushes at once both may have uploaded the same: the first counts.
        found.sort(key=lambda version: int(version.version_id), reverse=True)
        return {version.labels[DIGEST_LABEL]: version for version in found}

    def _model(self) -> str | None:
        """Resource name of the model with the destination's display name; None without one."""
        name = self._destination.name
        request = {"parent": self._destination.parent, "filter": f'display_name="{name}"'}
        found = list(self._api.models.list_models(request, timeout=CALL_SECONDS))
        if len(found) > 1:
            ids = ", ".join(sorted(_parent(model).rpartition("/")[2] for model in found))
            raise StepError(
                f"{len(found)} models of {self._destination.parent} have the name {name} ({ids}): "
                "give the others another one"
            )
        return _parent(found[0]) if found else None

    def _model_or_id(self) -> str:
        found = self._api.call(self._model)
        return found or f"{self._destination.parent}/models/{self._destination.name}"


def version_name(version: Any) -> str:
    """Resource name of a version, which lists give without it."""
    return f"{_parent(version)}@{version.version_id}"


def _parent(version: Any) -> str:
    """Resource name of a version's model."""
    return str(version.name.partition("@")[0])


def version_key(version: Any) -> str:
    """A version's model and its own id, such as `flowers@2`."""
    return version_name(version).rpartition("/")[2]
