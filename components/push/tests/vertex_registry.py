"""The models of the stand-in for Vertex, their versions, aliases and evaluations."""

import itertools
import json
import re
from typing import Any

import grpc
from google.cloud.aiplatform_v1.types import Model, ModelEvaluation, model_service
from google.protobuf import empty_pb2, json_format

from components.push.tests.vertex_operations import (
    NUMBERED,
    VertexOperations,
    canonical,
    check_parent,
    display_name_of,
    missing,
)
from darkroom.artifacts.model_repository import is_complete
from darkroom.storage import files
from darkroom.tests.google_server import Method, RefusedError, require, under

METRICS_SCHEMA = (
    "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"
)
_METRICS = {"auPrc", "auRoc", "logLoss", "confidenceMetrics", "confusionMatrix"}
_AT_CONFIDENCE = {
    *("confidenceThreshold", "maxPredictions", "confusionMatrix"),
    *("recall", "precision", "f1Score", "f1ScoreMicro", "f1ScoreMacro", "falsePositiveRate"),
    *("recallAt1", "precisionAt1", "f1ScoreAt1", "falsePositiveRateAt1"),
    *("truePositiveCount", "falsePositiveCount", "falseNegativeCount", "trueNegativeCount"),
}
_ALIAS = r"[a-z][a-zA-Z0-9-]{0,126}[a-z-0-9]"
_LABEL_KEY, _LABEL_VALUE = r"[a-z][a-z0-9_-]{0,62}", r"[a-z0-9_-]{0,63}"


class VertexRegistry:
    """Model Registry.

    Attributes:
        versions: Versions by their resource names with `@` and the version's id.
        evaluations: Evaluations by the resource name of their version.
        files: The files that were copied of each version.
    """

    def __init__(self, operations: VertexOperations) -> None:
        self.versions: dict[str, Any] = {}
        self.evaluations: dict[str, list[Any]] = {}
        self.files: dict[str, list[str]] = {}
        self._operations = operations
        self._ids = itertools.count(1)

    def methods(self) -> dict[str, Method]:
        """What is called by which path."""
        asked = model_service
        return under(
            "google.cloud.aiplatform.v1.ModelService",
            UploadModel=(asked.UploadModelRequest, self._upload),
            ListModels=(asked.ListModelsRequest, self._list),
            ListModelVersions=(asked.ListModelVersionsRequest, self._list_versions),
            MergeVersionAliases=(asked.MergeVersionAliasesRequest, self._merge),
            DeleteModelVersion=(asked.DeleteModelVersionRequest, self._delete),
            ListModelEvaluations=(asked.ListModelEvaluationsRequest, self._list_evaluations),
            ImportModelEvaluation=(asked.ImportModelEvaluationRequest, self._import),
        )

    def version_at(self, alias: str) -> Any:
        """The version that an alias points at; None without one."""
        found = [each for each in self.versions.values() if alias in each.version_aliases]
        assert len(found) <= 1
        return found[0] if found else None

    def get(self, name: str) -> Any:
        """A version by its resource name, which has its id."""
        found = self.versions.get(canonical(name))
        if found is None:
            raise missing("Model", name)
        return found

    def add(self, model_id: str, display_name: str) -> None:
        """Puts a model there that somebody else has made."""
        name = f"{NUMBERED}/models/{model_id}"
        self.versions[f"{name}@1"] = Model(
            name=name, display_name=display_name, version_id="1", version_aliases=["default"]
        )

    def _upload(self, request: Any) -> Any:
        check_parent(request.parent)
        _check_model(request.model)
        if request.parent_model:
            require(not request.model_id, "model_id")
            parent = canonical(request.parent_model)
            self.get(f"{parent}@1") if f"{parent}@1" in self.versions else self._of(parent)
        else:
            parent = f"{NUMBERED}/models/{request.model_id}"
            require(re.fullmatch(r"[a-z_][a-z0-9_-]{0,62}", request.model_id), "model_id")
            if self._of(parent, strict=False):
                raise RefusedError(
                    grpc.StatusCode.ALREADY_EXISTS, f"The Model {parent} already exists."
                )
        model = Model(request.model)

        def finish() -> Any:
            others = self._of(parent, strict=False)
            version = str(max((int(each.version_id) for each in others), default=0) + 1)
            model.name, model.version_id = parent, version
            self._take_aliases(parent, model.version_aliases)
            if not others:
                model.version_aliases.append("default")
            name = f"{parent}@{version}"
            self.versions[name] = model
            listed = files.list_files(f"{model.artifact_uri}/**")
            self.files[name] = [file.location for file in listed]
            return model_service.UploadModelResponse(model=parent, model_version_id=version)

        return self._operations.begin("UploadModel", parent, finish)

    def _of(self, parent: str, strict: bool = True) -> list[Any]:
        found = [each for each in self.versions.values() if each.name == canonical(parent)]
        if strict and not found:
            raise missing("Model", parent)
        return found

    def _list(self, request: Any) -> Any:
        check_parent(request.parent)
        name = display_name_of(request.filter)
        found = [
            each
            for each in self.versions.values()
            if each.display_name == name and "default" in each.version_aliases
        ]
        return model_service.ListModelsResponse(models=found)

    def _list_versions(self, request: Any) -> Any:
        match = re.fullmatch(r"labels\.([a-z_]+):\*", request.filter)
        require(match, "filter")
        assert match is not None
        found = [each for each in self._of(request.name) if match[1] in each.labels]
        start = int(request.page_token or 0)
        return model_service.ListModelVersionsResponse(
            models=found[start : start + 1],
            next_page_token=str(start + 1) if start + 1 < len(found) else "",
        )

    def _merge(self, request: Any) -> Any:
        require("@" in request.name, "name")
        version = self.get(request.name)
        for alias in request.version_aliases:
            require(re.fullmatch(f"-?{_ALIAS}", alias), "version_aliases")
            require(alias != "-default", "version_aliases")
        self._take_aliases(
            version.name, [each.removeprefix("-") for each in request.version_aliases]
        )
        new = [each for each in request.version_aliases if not each.startswith("-")]
        version.version_aliases = [*version.version_aliases, *new]
        return version

    def _take_aliases(self, parent: str, aliases: Any) -> None:
        for each in self._of(parent, strict=False):
            each.version_aliases = [a for a in each.version_aliases if a not in set(aliases)]

    def _delete(self, request: Any) -> Any:
        require("@" in request.name, "name")
        version = self.get(request.name)
        if "default" in version.version_aliases:
            raise RefusedError(
                grpc.StatusCode.FAILED_PRECONDITION, "The default version cannot be deleted."
            )
        name = f"{version.name}@{version.version_id}"

        def finish() -> Any:
            self.versions.pop(name)
            return empty_pb2.Empty()

        return self._operations.begin("DeleteModelVersion", version.name, finish)

    def _list_evaluations(self, request: Any) -> Any:
        found = self.evaluations.get(canonical(request.parent), [])
        return model_service.ListModelEvaluationsResponse(model_evaluations=found)

    def _import(self, request: Any) -> Any:
        self.get(request.parent)
        _check_evaluation(request.model_evaluation)
        evaluation = ModelEvaluation(request.model_evaluation)
        evaluation.name = f"{canonical(request.parent)}/evaluations/{next(self._ids)}"
        self.evaluations.setdefault(canonical(request.parent), []).append(evaluation)
        return evaluation


def _check_model(model: Any) -> None:
    require(0 < len(model.display_name) <= 128, "model.display_name")
    require(model.container_spec.image_uri, "model.container_spec.image_uri")
    require(model.artifact_uri.startswith("gs://"), "model.artifact_uri")
    if not is_complete(model.artifact_uri):
        raise RefusedError(
            grpc.StatusCode.FAILED_PRECONDITION, f"{model.artifact_uri} has no saved_model.pb."
        )
    for key, value in model.labels.items():
        require(re.fullmatch(_LABEL_KEY, key), "model.labels")
        require(re.fullmatch(_LABEL_VALUE, value), "model.labels")
    for alias in model.version_aliases:
        require(re.fullmatch(_ALIAS, alias), "model.version_aliases")
    parameters = model.explanation_spec.parameters
    if parameters.xrai_attribution.step_count:
        require(parameters.xrai_attribution.step_count <= 100, "explanation_spec.parameters")
        metadata = model.explanation_spec.metadata
        require(metadata.inputs and metadata.outputs, "explanation_spec.metadata")


def _check_evaluation(evaluation: Any) -> None:
    require(evaluation.metrics_schema_uri == METRICS_SCHEMA, "metrics_schema_uri")
    message = type(evaluation).pb(evaluation)
    metrics = json.loads(json_format.MessageToJson(message.metrics))
    require(isinstance(metrics, dict) and set(metrics) <= _METRICS, "metrics")
    for entry in metrics.get("confidenceMetrics", []):
        require(set(entry) <= _AT_CONFIDENCE, "metrics.confidenceMetrics")
