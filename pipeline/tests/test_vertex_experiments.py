"""Runs put into Vertex's experiments, against the stand-in made of the library's own protos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from pipeline.settings.cluster import VertexSettings
from pipeline.targets.vertex.client import Vertex
from pipeline.tests.test_vertex import submitted

if TYPE_CHECKING:
    from pipeline.tests.vertex_server import VertexServer

_STORE = "projects/my-project/locations/europe-west4/metadataStores/default/contexts"


@pytest.fixture
def vertex(vertex_settings: VertexSettings) -> Vertex:
    """Vertex, whose runs go into the experiment `flowers`."""
    return Vertex(vertex_settings.model_copy(update={"experiment": "flowers"}))


def test_runs_are_children_of_the_experiment(vertex: Vertex, vertex_server: VertexServer) -> None:
    first, second = submitted(vertex), submitted(vertex)
    assert vertex_server.children == {
        f"{_STORE}/flowers": [f"{_STORE}/{first.id}", f"{_STORE}/{second.id}"]
    }
    made = vertex_server.contexts[f"{_STORE}/flowers"]
    assert (made.display_name, made.schema_title) == ("flowers", "system.Experiment")
    assert dict(made.metadata) == {"experiment_deleted": False}
    vertex_server.advance(first.id, "FAILED")
    again = vertex.retry(first.id)
    assert vertex_server.children[f"{_STORE}/flowers"][-1] == f"{_STORE}/{again.id}"


def test_without_an_experiment_metadata_is_not_asked(
    vertex_settings: VertexSettings, vertex_server: VertexServer
) -> None:
    submitted(Vertex(vertex_settings))
    assert not {"GetContext", "CreateContext", "AddContextChildren"} & set(vertex_server.calls)


@pytest.mark.parametrize("method", ["CreateContext", "AddContextChildren"])
def test_a_lost_answer_changes_nothing(
    vertex: Vertex, vertex_server: VertexServer, method: str
) -> None:
    vertex_server.refuse(method, grpc.StatusCode.UNAVAILABLE, "lost", lost=True)
    run = submitted(vertex)
    assert vertex_server.children == {f"{_STORE}/flowers": [f"{_STORE}/{run.id}"]}


def test_a_run_stands_where_it_cannot_be_put_there(
    vertex: Vertex, vertex_server: VertexServer, caplog: pytest.LogCaptureFixture
) -> None:
    vertex_server.refuse(
        "CreateContext",
        grpc.StatusCode.PERMISSION_DENIED,
        "Permission 'aiplatform.contexts.create' denied",
    )
    run = submitted(vertex)
    assert vertex.run(run.id).state == "pending"
    (line,) = caplog.messages
    assert line.startswith(f"run {run.id} is not in experiment flowers: Vertex refuses")
    assert "aiplatform.user" in line


def test_a_name_of_something_else_is_not_taken(
    vertex: Vertex, vertex_server: VertexServer, caplog: pytest.LogCaptureFixture
) -> None:
    run = submitted(vertex)
    vertex_server.contexts[f"{_STORE}/flowers"].schema_title = "system.PipelineRun"
    submitted(vertex)
    assert "'flowers' is a system.PipelineRun, choose another name" in caplog.text
    assert vertex_server.children[f"{_STORE}/flowers"] == [f"{_STORE}/{run.id}"]


def test_a_run_that_does_not_start_is_not_waited_for_without_end(
    vertex: Vertex,
    vertex_server: VertexServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.targets.vertex.experiments.CONTEXT_SECONDS", 0.5)
    vertex_server.starts_runs = False
    run = submitted(vertex)
    assert vertex.run(run.id).state == "pending"
    assert "Vertex has not started it" in caplog.text
