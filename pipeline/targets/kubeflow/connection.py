"""The connection to Kubeflow's API: sign-in, retries, and how things are found by name.

It stands on `kfp_server_api`, the generated client that `kfp.Client` itself stands on. Above it,
`kfp.Client` prints, keeps state in the home folder, and before its first call asks an address
that wants a sign-in five times, five seconds apart.
"""

import functools
import json
import os
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tenacity

from darkroom.errors import SettingsError, StepError
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import TransientError
from pipeline.targets.kubeflow.errors import to_step_error, unreachable

WAITS = (0.5, 1.0, 2.0)
"""Seconds before each further try, where the server does not name its own."""
LONGEST_WAIT = 30.0
"""Seconds that a server may ask us to wait."""
TIMEOUT = (10, 60)
"""Seconds to connect, and for an answer."""


class Connection:
    """Kubeflow's API, as the owner of a token.

    Args:
        settings: Where it is, and the token's file.

    Raises:
        SettingsError: The settings do not say where, or the token's file cannot be read.
    """

    def __init__(self, settings: KubeflowSettings) -> None:
        self.settings = settings
        self.host = _checked_host(settings.host)
        self._token()

    def get(self, path: str, parameters: Mapping[str, str]) -> Any:
        """The answer's stream, for what the API has beside its schema, such as logs."""
        call = functools.partial(
            self.client.call_api, path, "GET", parameters, auth_settings=["Bearer"]
        )
        return self.ask(call, _preload_content=False, _return_http_data_only=True)

    def ask(self, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Calls the API; where it is busy or does not answer, again after a while.

        Args:
            call: A method of one of the services, which may be called twice without harm.
            *arguments: Its arguments.
            **keywords: Its options, and `subject`: what is asked for, such as `run 123`.

        Raises:
            TransientError: No try was answered.
            StepError: The server refuses.
        """
        return self.make(functools.partial(call, *arguments), lambda: None, **keywords)

    def make(self, call: Callable[..., Any], find: Callable[[], Any], **keywords: Any) -> Any:
        """Calls what makes something, without making it twice.

        Args:
            call: The call.
            find: Gives what a try whose answer was lost made all the same, or None.
            **keywords: As `ask` takes them.

        Raises:
            TransientError: No try was answered.
            StepError: The server refuses.
        """
        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            stop=tenacity.stop_after_attempt(len(WAITS) + 1),
            wait=_wait,
            sleep=time.sleep,
            reraise=True,
        )
        for attempt in attempts:
            with attempt:
                is_first = attempt.retry_state.attempt_number == 1
                if not is_first and (made := find()) is not None:
                    return made
                return self._once(call, **keywords)
        raise AssertionError("tenacity raises the last attempt's error")

    def _once(self, call: Callable[..., Any], subject: str = "", **keywords: Any) -> Any:
        import urllib3
        from kfp_server_api import ApiException

        try:
            answer = call(_request_timeout=TIMEOUT, **keywords)
        except ApiException as error:
            raise to_step_error(error, self.settings, subject) from error
        except AttributeError as error:
            # The client stumbles over its own report of a TLS error, which has no body.
            if not isinstance(error.__context__, ApiException):
                raise
            reason = " ".join(str(error.__context__.reason).split())
            raise StepError(
                f"no secure connection to {self.host}: {reason}; check cluster.kfp.host and its "
                "certificate (SSL_CERT_FILE names your own authority's)"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise unreachable(error, self.host) from error
        # The client would take a web page for an answer with nothing in it.
        if "html" in (self.client.last_response.getheader("content-type") or ""):
            raise StepError(
                f"{self.host} answers with a web page: it is not the API of Kubeflow Pipelines, "
                "or it wants a sign-in; check cluster.kfp.host (it often ends in /pipeline) and "
                "cluster.kfp.token_file"
            )
        return answer

    @functools.cached_property
    def client(self) -> Any:
        """The generated client; the token is read again for every call, so it may be replaced."""
        import kfp_server_api

        configuration = kfp_server_api.Configuration(host=self.host)
        # Ours are bounded, wait, and never make a thing twice.
        configuration.retries = False
        configuration.ssl_ca_cert = os.environ.get("SSL_CERT_FILE")
        configuration.api_key_prefix["authorization"] = "Bearer"

        def read_token(configuration: Any) -> None:
            if token := self._token():
                configuration.api_key["authorization"] = token

        configuration.refresh_api_key_hook = read_token
        read_token(configuration)
        return kfp_server_api.ApiClient(configuration)

    @functools.cached_property
    def runs(self) -> Any:
        """The service of runs."""
        import kfp_server_api

        return kfp_server_api.RunServiceApi(self.client)

    @functools.cached_property
    def recurring_runs(self) -> Any:
        """The service of recurring runs."""
        import kfp_server_api

        return kfp_server_api.RecurringRunServiceApi(self.client)

    @functools.cached_property
    def experiments(self) -> Any:
        """The service of experiments."""
        import kfp_server_api

        return kfp_server_api.ExperimentServiceApi(self.client)

    def _token(self) -> str:
        file = self.settings.token_file
        if file is None:
            return ""
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise SettingsError(f"setting 'cluster.kfp.token_file': {file}: {reason}") from None
        if not token or len(token.split()) != 1:
            raise SettingsError(f"setting 'cluster.kfp.token_file': {file} does not hold one token")
        return token


def _checked_host(host: str) -> str:
    if not host:
        raise SettingsError(
            "setting 'cluster.kfp.host' is missing: the address of Kubeflow Pipelines, such as "
            "https://kubeflow.example.com/pipeline"
        )
    if not host.startswith(("http://", "https://")):
        raise SettingsError(f"setting 'cluster.kfp.host': {host} must begin with https://")
    return host.rstrip("/")


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: those that a busy server names, else the next of WAITS."""
    error = state.outcome.exception() if state.outcome else None
    headers = getattr(getattr(error, "__cause__", None), "headers", None) or {}
    text = headers.get("Retry-After", "")
    named = min(float(text), LONGEST_WAIT) if text.isdigit() else 0.0
    wait = WAITS[min(state.attempt_number, len(WAITS)) - 1]
    return named or wait * random.uniform(0.8, 1.2)


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
