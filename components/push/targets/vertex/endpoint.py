"""The endpoint of a destination's name: what is deployed there, and who gets how much traffic.

Deployed versions are identified by their key: the model and version of Model Registry that they are
of, such as `flowers@2`. What others have deployed there stays, but gets no requests.
"""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from google.api_core import exceptions
from google.cloud.aiplatform_v1.types import AcceleratorType, DeployedModel, Endpoint

from components.push.targets.vertex.api import CALL_SECONDS, Api
from components.push.targets.vertex.registry import version_key, version_name
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest

_log = logging.getLogger("darkroom.push")


class UndeployedError(StepError):
    """Another command has undeployed meanwhile what this one has deployed."""


class ServingEndpoint:
    """The endpoint, which is made once it is needed.

    Args:
        api: The connection.

    Raises:
        SettingsError: Vertex knows no such accelerator.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._destination = api.destination
        accelerator = self._destination.accelerator
        known = [kind.name for kind in AcceleratorType if kind.value]
        if accelerator and accelerator not in known:
            raise SettingsError(
                f"'{self._destination.text}': Vertex knows no accelerator "
                f"{accelerator}{nearest(accelerator, known)}"
            )

    def shares(self) -> dict[str, int]:
        """The traffic of each version that is deployed, in percent, by its key."""
        endpoint = self._api.call(self._find)
        if endpoint is None:
            return {}
        shares: dict[str, int] = {}
        for deployed in endpoint.deployed_models:
            share = endpoint.traffic_split.get(deployed.id, 0)
            shares[_key(deployed)] = shares.get(_key(deployed), 0) + share
        return shares

    def ensure_deployed(self, version: Any, number: int) -> bool:
        """Deploys a version of Model Registry, without traffic, unless it is; whether it was not.

        Args:
            version: The version of Model Registry.
            number: Its number, for people.
        """
        was_missing = self._ensure_exists()
        name = self._name()

        def begin() -> Any | None:
            endpoint = self._api.endpoints.get_endpoint(name=name, timeout=CALL_SECONDS)
            if _deployed(endpoint, version_key(version)):
                return None
            return self._api.endpoints.deploy_model(
                # Without a traffic split, that of the endpoint stays as it is.
                {"endpoint": name, "deployed_model": self._deployment(version, number)},
                timeout=CALL_SECONDS,
            )

        what = f"the deployment of version {number}"
        return self._api.ensure(what, self._api.endpoints, name, begin) or was_missing

    def ensure_split(self, shares: Mapping[str, int]) -> bool:
        """Gives versions, which are deployed, their shares of the requests, all at once.

        Args:
            shares: In percent, by key; 100 together.

        Returns:
            Whether they had others.

        Raises:
            UndeployedError: One of them is not deployed any more.
        """

        def work() -> bool:
            endpoint = self._found()
            split = {}
            for version, share in shares.items():
                deployed = _deployed(endpoint, version)
                if not deployed:
                    raise UndeployedError(f"version {version} was undeployed meanwhile")
                split[deployed[0]] = share
            if dict(endpoint.traffic_split) == split:
                return False
            # With its etag: nothing is overwritten that came in between.
            changed = Endpoint(name=endpoint.name, traffic_split=split, etag=endpoint.etag)
            self._api.endpoints.update_endpoint(
                {"endpoint": changed, "update_mask": {"paths": ["traffic_split"]}},
                timeout=CALL_SECONDS,
            )
            return True

        return self._api.call(work)

    def undeploy_others(self, kept: Collection[str]) -> bool:
        """Undeploys versions that get no traffic, of the models of some that stay.

        Args:
            kept: The keys of those that stay.

        Returns:
            Whether there was anything to undeploy.
        """
        name = self._name()
        models = {key.partition("@")[0] for key in kept}

        def begin() -> Any | None:
            endpoint = self._found()
            first = {deployed for version in kept for deployed in _deployed(endpoint, version)[:1]}
            for deployed in endpoint.deployed_models:
                if _key(deployed).partition("@")[0] not in models or deployed.id in first:
                    continue
                if not endpoint.traffic_split.get(deployed.id):
                    _log.info("%s is undeployed", deployed.display_name)
                    return self._undeploy(name, deployed.id)
            return None

        what = "the end of a deployment that gets no requests"
        return self._api.ensure(what, self._api.endpoints, name, begin)

    def _undeploy(self, name: str, deployed_id: str) -> Any:
        try:
            return self._api.endpoints.undeploy_model(
                {"endpoint": name, "deployed_model_id": deployed_id}, timeout=CALL_SECONDS
            )
        except (exceptions.FailedPrecondition, exceptions.NotFound) as error:
            # It has just got requests, or is gone: that is to be looked at again.
            raise exceptions.Aborted(error.message) from error

    def _ensure_exists(self) -> bool:
        name = self._destination.name

        def begin() -> Any | None:
            if self._find() is not None:
                return None
            request = {
                "parent": self._destination.parent,
                "endpoint": Endpoint(display_name=name),
                # Of several that create it, one does.
                "endpoint_id": name,
            }
            try:
                return self._api.endpoints.create_endpoint(request, timeout=CALL_SECONDS)
            except exceptions.AlreadyExists:
                if self._find() is not None:
                    return None
                raise

        resource = f"{self._destination.parent}/endpoints/{name}"
        return self._api.ensure(f"the endpoint {name}", self._api.endpoints, resource, begin)

    def _deployment(self, version: Any, number: int) -> Any:
        destination = self._destination
        fewest, most = destination.replicas
        machine: dict[str, Any] = {"machine_type": destination.machine}
        if destination.accelerator:
            machine["accelerator_type"] = destination.accelerator
            machine["accelerator_count"] = destination.accelerators
        return DeployedModel(
            model=version_name(version),
            display_name=f"{destination.name}-v{number}",
            dedicated_resources={
                "machine_spec": machine,
                "min_replica_count": fewest,
                "max_replica_count": most,
            },
            service_account=destination.account,
        )

    def _name(self) -> str:
        return str(self._api.call(self._found).name)

    def _found(self) -> Any:
        endpoint = self._find()
        if endpoint is None:
            raise StepError(f"the endpoint {self._destination.name} was deleted meanwhile")
        return endpoint

    def _find(self) -> Any | None:
        name = self._destination.name
        request = {"parent": self._destination.parent, "filter": f'display_name="{name}"'}
        found = list(self._api.endpoints.list_endpoints(request, timeout=CALL_SECONDS))
        if len(found) > 1:
            ids = ", ".join(sorted(endpoint.name.rpartition("/")[2] for endpoint in found))
            raise StepError(
                f"{len(found)} endpoints of {self._destination.parent} have the name {name} "
                f"({ids}): give the others another one"
            )
        return found[0] if found else None


def _deployed(endpoint: Any, key: str) -> list[str]:
    """Ids of the deployments of a version, the first first."""
    found = [each for each in endpoint.deployed_models if _key(each) == key]
    found.sort(key=lambda each: each.create_time.timestamp() if each.create_time else 0.0)
    return [each.id for each in found]


def _key(deployed: Any) -> str:
    model = deployed.model.partition("@")[0].rpartition("/")[2]
    return f"{model}@{deployed.model_version_id}"
