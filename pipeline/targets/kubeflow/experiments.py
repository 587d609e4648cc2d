"""The experiment that holds the runs, and how the API is asked for things by name."""

import functools
import json
from typing import Any

from pipeline.targets.kubeflow.connection import Connection


def name_filter(name: str) -> str:
    """A filter for things of exactly that name."""
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})


def experiment_id(connection: Connection) -> str:
    """The id of the settings' experiment, which is made where it is missing."""
    import kfp_server_api as api

    settings = connection.settings
    asked = api.V2beta1Experiment(
        display_name=settings.experiment, namespace=settings.namespace or None
    )
    find = functools.partial(find_experiment, connection)
    found = find()
    if found is None:
        create = connection.experiments.experiment_service_create_experiment
        subject = f"experiment '{settings.experiment}'"
        found = connection.make(functools.partial(create, asked), find, subject=subject)
    return str(found.experiment_id)


def find_experiment(connection: Connection) -> Any:
    """The settings' experiment, or None."""
    settings = connection.settings
    namespace = {"namespace": settings.namespace} if settings.namespace else {}
    answer = connection.ask(
        connection.experiments.experiment_service_list_experiments,
        filter=name_filter(settings.experiment),
        **namespace,
    )
    return next(iter(answer.experiments or ()), None)
