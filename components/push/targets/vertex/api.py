"""The connection to Vertex: its clients, calls made again, and work that takes Vertex minutes.

The clients are those below google.cloud.aiplatform's classes: they import in two seconds where
those take eight, and say what they ask.
"""

import logging
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.aiplatform_v1.services.endpoint_service import EndpointServiceClient
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient
from google.cloud.aiplatform_v1.services.model_service import ModelServiceClient

from components.push.targets.vertex.destination import Destination
from components.push.targets.vertex.refusals import is_worth_asking_again, one_line, to_step_error
from darkroom.errors import StepError

Answer = TypeVar("Answer")

CALL_SECONDS = 30.0
"""A call that has no answer by then has none: an unreachable address is not waited for long."""
PATIENCE_SECONDS = 90.0
"""How long a server in trouble is asked again: longer than the minute that quotas count by."""
OPERATION_SECONDS = 3600.0
"""How long an upload or a deployment is waited for, which takes some 10 to 20 minutes."""
_FIRST_POLL, _LAST_POLL = 0.1, 15.0

_log = logging.getLogger("darkroom.push")


class Api:
    """Vertex AI at a destination; nothing is connected to until the first call.

    Args:
        destination: Where.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination

    @cached_property
    def models(self) -> Any:
        """google.cloud.aiplatform_v1's ModelServiceClient."""
        return self.call(lambda: ModelServiceClient(client_options=self._options))

    @cached_property
    def endpoints(self) -> Any:
        """google.cloud.aiplatform_v1's EndpointServiceClient."""
        return self.call(lambda: EndpointServiceClient(client_options=self._options))

    @cached_property
    def jobs(self) -> Any:
        """google.cloud.aiplatform_v1's JobServiceClient."""
        return self.call(lambda: JobServiceClient(client_options=self._options))

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Does some calls, again and again while the server is busy or away, or others change it.

        Args:
            work: The calls. They may be done any number of times, as an answer can be lost: it
                looks before it makes something.

        Raises:
            StepError: What the server or the credentials refuse, in one line.
        """
        patiently = Retry(
            predicate=is_worth_asking_again, initial=0.5, maximum=10.0, timeout=PATIENCE_SECONDS
        )
        try:
            answer: Answer = patiently(work)()
            return answer
        except exceptions.RetryError as error:
            raise to_step_error(error.cause, self.destination) from error
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise to_step_error(error, self.destination) from error

    def ensure(
        self, what: str, client: Any, resource: str, begin: Callable[[], Any | None]
    ) -> bool:
        """Has Vertex do what takes it minutes, unless that is done, or being done already.

        An operation that a killed command started still runs at Vertex: it is awaited instead.

        Args:
            what: What it does, for messages: `the deployment of version 3`.
            client: Of which service.
            resource: Resource name whose operations it is among.
            begin: Looks, and begins what is missing; gives None where nothing is.

        Returns:
            Whether anything was missing.

        Raises:
            StepError: It fails, or takes too long.
        """
        was_missing = False
        while True:
            running, own = self.call(lambda: self._running_or_begun(client, resource, begin))
            if running is None:
                return was_missing
            was_missing = True
            if own:
                _log.info("%s takes Vertex some minutes", what)
            self._wait(what, client, running, own)

    def _running_or_begun(
        self, client: Any, resource: str, begin: Callable[[], Any | None]
    ) -> tuple[Any | None, bool]:
        running = self._running(client, resource)
        if running is not None:
            return running, False
        begun = begin()
        return (None if begun is None else begun.operation), True

    def _running(self, client: Any, resource: str) -> Any | None:
        """An operation on a resource that has not ended, whoever began it."""
        page = ""
        while True:
            request = {"name": resource, "page_size": 100, "page_token": page}
            try:
                answer = client.list_operations(request, timeout=CALL_SECONDS)
            except exceptions.NotFound:  # there is no such resource yet
                return None
            for operation in answer.operations:
                if not operation.done:
                    return operation
            page = answer.next_page_token
            if not page:
                return None

    def _wait(self, what: str, client: Any, operation: Any, own: bool) -> None:
        deadline, pause = time.monotonic() + OPERATION_SECONDS, _FIRST_POLL
        name = operation.name
        while not operation.done:
            if time.monotonic() > deadline:
                raise StepError(
                    f"{what} has not ended within {OPERATION_SECONDS / 60:.0f} minutes; it goes on "
                    f"at Vertex ({name}), where the same command waits for it"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LAST_POLL)
            operation = self.call(
                lambda: client.get_operation({"name": name}, timeout=CALL_SECONDS)
            )
        if operation.error.code and own:
            raise self._failure(what, operation.error)

    def _failure(self, what: str, status: Any) -> StepError:
        error = exceptions.from_grpc_status(status.code, one_line(status.message))
        return StepError(f"{what} failed: {to_step_error(error, self.destination)}")

    @property
    def _options(self) -> ClientOptions:
        return ClientOptions(api_endpoint=self.destination.host)
