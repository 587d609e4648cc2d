"""The endpoints of the stand-in for Vertex: deployments and the traffic split."""

import datetime
import itertools
import re
from typing import Any

import grpc
from google.cloud.aiplatform_v1.types import DeployedModel, Endpoint, endpoint_service
from google.protobuf import empty_pb2

from components.push.tests.vertex_operations import (
    NUMBERED,
    VertexOperations,
    canonical,
    check_parent,
    display_name_of,
    missing,
)
from components.push.tests.vertex_registry import VertexRegistry
from darkroom.tests.google_server import Method, RefusedError, require, under


class VertexEndpoints:
    """Endpoints.

    Attributes:
        endpoints: By resource name.
        splits: Each traffic split that an endpoint had, in order, by version id.
        machines: How many machines may be in use; more are over the quota.
    """

    def __init__(self, operations: VertexOperations, registry: VertexRegistry) -> None:
        self.endpoints: dict[str, Any] = {}
        self.splits: list[dict[str, int]] = []
        self.machines = 10
        self._operations = operations
        self._registry = registry
        self._ids = itertools.count(1000)
        self._now = datetime.datetime.now(datetime.UTC)

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        asked = endpoint_service
        return under(
            "google.cloud.aiplatform.v1.EndpointService",
            CreateEndpoint=(asked.CreateEndpointRequest, self._create),
            ListEndpoints=(asked.ListEndpointsRequest, self._list),
            GetEndpoint=(asked.GetEndpointRequest, lambda request: self._get(request.name)),
            UpdateEndpoint=(asked.UpdateEndpointRequest, self._update),
            DeployModel=(asked.DeployModelRequest, self._deploy),
            UndeployModel=(asked.UndeployModelRequest, self._undeploy),
        )

    @property
    def only(self) -> Any:
        """The endpoint, where there is one."""
        (endpoint,) = self.endpoints.values()
        return endpoint

    def split(self) -> dict[str, int]:
        """The traffic of the only endpoint by version id, of all that is deployed."""
        return _split(self.only)

    def add(self, endpoint_id: str, display_name: str, model: str) -> None:
        """Puts an endpoint there where somebody else has deployed a model."""
        deployed = DeployedModel(id="5", model=model, model_version_id="1", display_name="other")
        name = f"{NUMBERED}/endpoints/{endpoint_id}"
        self.endpoints[name] = Endpoint(
            name=name,
            display_name=display_name,
            etag="1",
            deployed_models=[deployed],
            traffic_split={"5": 100},
        )

    def _create(self, request: Any) -> Any:
        check_parent(request.parent)
        require(request.endpoint.display_name, "endpoint.display_name")
        require(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", request.endpoint_id), "id")
        name = f"{NUMBERED}/endpoints/{request.endpoint_id}"
        if name in self.endpoints:
            raise RefusedError(
                grpc.StatusCode.ALREADY_EXISTS, f"The Endpoint {name} already exists."
            )
        endpoint = Endpoint(request.endpoint)
        endpoint.name, endpoint.etag = name, "1"

        def finish() -> Any:
            self.endpoints[name] = endpoint
            return endpoint

        return self._operations.begin("CreateEndpoint", name, finish)

    def _list(self, request: Any) -> Any:
        check_parent(request.parent)
        name = display_name_of(request.filter)
        found = [each for each in self.endpoints.values() if each.display_name == name]
        return endpoint_service.ListEndpointsResponse(endpoints=found)

    def _get(self, name: str) -> Any:
        check_parent(name)
        if canonical(name) not in self.endpoints:
            raise missing("Endpoint", name)
        return self.endpoints[canonical(name)]

    def _update(self, request: Any) -> Any:
        standing = self._get(request.endpoint.name)
        require(list(request.update_mask.paths) == ["traffic_split"], "update_mask")
        if request.endpoint.etag not in ("", standing.etag):
            raise RefusedError(grpc.StatusCode.ABORTED, "The etag does not match.")
        split = dict(request.endpoint.traffic_split)
        require(sum(split.values()) == 100, "endpoint.traffic_split")
        require(split.keys() <= {each.id for each in standing.deployed_models}, "traffic_split")
        standing.traffic_split = split
        standing.etag = str(int(standing.etag) + 1)
        self.splits.append({k: v for k, v in _split(standing).items() if v})
        return standing

    def _deploy(self, request: Any) -> Any:
        endpoint = self._get(request.endpoint)
        deployed = DeployedModel(request.deployed_model)
        require("@" in deployed.model, "deployed_model.model")
        version = self._registry.get(deployed.model)
        resources = deployed.dedicated_resources
        require(resources.machine_spec.machine_type, "dedicated_resources.machine_spec")
        require(resources.min_replica_count >= 1, "dedicated_resources.min_replica_count")
        require(resources.max_replica_count >= resources.min_replica_count, "max_replica_count")
        machine = resources.machine_spec
        require(bool(machine.accelerator_type) == bool(machine.accelerator_count), "accelerator")
        require(not request.traffic_split, "traffic_split")  # our target never sends one
        in_use = sum(
            each.dedicated_resources.min_replica_count for each in endpoint.deployed_models
        )
        if in_use + resources.min_replica_count > self.machines:
            raise RefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "The following quota metrics exceed quota limits: "
                "aiplatform.googleapis.com/custom_model_serving_cpus",
            )

        def finish() -> Any:
            self._now += datetime.timedelta(seconds=1)
            deployed.id = str(next(self._ids))
            deployed.model = version.name
            deployed.model_version_id, deployed.create_time = version.version_id, self._now
            endpoint.deployed_models.append(deployed)
            endpoint.etag = str(int(endpoint.etag) + 1)
            return endpoint_service.DeployModelResponse(deployed_model=deployed)

        return self._operations.begin("DeployModel", endpoint.name, finish)

    def _undeploy(self, request: Any) -> Any:
        endpoint = self._get(request.endpoint)
        wanted = request.deployed_model_id
        if wanted not in {each.id for each in endpoint.deployed_models}:
            raise missing("DeployedModel", wanted)
        if endpoint.traffic_split.get(wanted):
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION, f"{wanted} has traffic in the traffic split."
            )

        def finish() -> Any:
            left = [each for each in endpoint.deployed_models if each.id != wanted]
            endpoint.deployed_models = left
            return empty_pb2.Empty()

        return self._operations.begin("UndeployModel", endpoint.name, finish)


def _split(endpoint: Any) -> dict[str, int]:
    return {
        each.model_version_id: endpoint.traffic_split.get(each.id, 0)
        for each in endpoint.deployed_models
    }
