"""The connection to Vertex: its clients, and calls that wait for a server in trouble.

The clients are those below google.cloud.aiplatform's classes: they import in a second where those
take several, and their `submit` does not look for the bucket for up to two minutes.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud.aiplatform_v1.services.metadata_service import MetadataServiceClient
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.services.schedule_service import ScheduleServiceClient

from pipeline.settings.cluster import VertexSettings
from pipeline.target import TransientError
from pipeline.targets.vertex.errors import is_about_credentials, to_step_error

Answer = TypeVar("Answer")

CALL_SECONDS = 30.0
"""A call that has no answer by then has none: an unreachable address is not waited for long."""
PATIENCE_SECONDS = 60.0
"""How long a server in trouble is asked again: longer than the minute that quotas count by."""

# As gRPC words it; a name server that is away itself is worth another try.
_NO_HOST = "Domain name not found"
_TROUBLE = (
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
    exceptions.DeadlineExceeded,
)


class Api:
    """Vertex in one project and region.

    Args:
        settings: Where and as whom; validated.

    Attributes:
        project: Project id.
        location: Region.
        parent: Resource name that runs and schedules are under.
    """

    def __init__(self, settings: VertexSettings) -> None:
        self.project = settings.project
        self.location = settings.location
        self.parent = f"projects/{settings.project}/locations/{settings.location}"
        self._host = settings.endpoint or f"{settings.location}-aiplatform.googleapis.com"

    @cached_property
    def jobs(self) -> Any:
        """google.cloud.aiplatform_v1's PipelineServiceClient."""
        return PipelineServiceClient(client_options=self._options)

    @cached_property
    def schedules(self) -> Any:
        """google.cloud.aiplatform_v1's ScheduleServiceClient."""
        return ScheduleServiceClient(client_options=self._options)

    @cached_property
    def metadata(self) -> Any:
        """google.cloud.aiplatform_v1's MetadataServiceClient."""
        return MetadataServiceClient(client_options=self._options)

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Does some calls, again and again while the server is busy or away, for PATIENCE_SECONDS.

        Args:
            work: The calls. They may be done any number of times: an answer can be lost.

        Raises:
            StepError: What the server or the credentials refuse, in one line.
        """
        patiently = Retry(predicate=_passes, initial=0.5, maximum=10.0, timeout=PATIENCE_SECONDS)
        try:
            answer: Answer = patiently(work)()
            return answer
        except exceptions.RetryError as error:
            raise to_step_error(error.cause, self.project, self._host) from error
        except (exceptions.GoogleAPICallError, GoogleAuthError) as error:
            raise to_step_error(error, self.project, self._host) from error
        except TimeoutError as error:
            raise TransientError(
                f"{self._host} has not done yet what it was asked: look again later"
            ) from error

    @property
    def _options(self) -> ClientOptions:
        return ClientOptions(api_endpoint=self._host)


def _passes(error: BaseException) -> bool:
    """Whether it is worth asking again: not where there is no token, nor a host of that name."""
    if is_about_credentials(error) or _NO_HOST in str(error):
        return False
    return isinstance(error, _TROUBLE)
