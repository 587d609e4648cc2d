"""What Vertex refuses, as one line for people: its own words, and what to do about it."""

import re

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from darkroom.errors import StepError
from pipeline.target import TransientError

_LOG_IN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
# How gRPC words a failure of the credentials that it asked for a token.
_NO_TOKEN = "Getting metadata from plugin failed"

_NO_NETWORK = r"Max retries exceeded|Connection aborted|timed out"
_BUCKET = r"bucket[\s:]*[`'\"\\]*(?:gs://)?(?P<bucket>[a-z0-9][a-z0-9._-]+)"
_ACCOUNT = r"[\w.-]+@[\w.-]+\.gserviceaccount\.com"
_USER = "roles/aiplatform.user on the project"
# The first that is found in a message says which role it is about.
_ROLES = (
    (r"act[\s_]?as\b|serviceAccounts\.", "roles/iam.serviceAccountUser on the service account"),
    (r"cloudkms|crypto_?key", "roles/cloudkms.cryptoKeyEncrypterDecrypter on the key"),
    (r"storage\.|\bbucket\b", "roles/storage.objectUser on the bucket"),
    (r"artifactregistry", "roles/artifactregistry.reader on the repository"),
    (r"aiplatform\.", _USER),
    (r"compute\.(sub)?networks", "roles/compute.networkUser on the network's project"),
)
_NO_PROJECT = r"CONSUMER_INVALID|USER_PROJECT_DENIED|resource project|project .*(not found|deleted)"
_API_OFF = r"SERVICE_DISABLED|has not been used in project"
_NO_BUCKET = r"bucket.*(does not exist|not found)|(does not exist|not found).*bucket"
_NO_IMAGE = r"(pull|fetch)\w*[^.]*\bimage\b|\bimage\b[^.]*(not found|does not exist|failed to)"


def to_step_error(error: BaseException, project: str, host: str) -> StepError:
    """The line that says what Vertex refuses.

    Args:
        error: What google.api_core or google.auth raised.
        project: The project that was asked.
        host: The address that was asked.
    """
    text = one_line(getattr(error, "message", None) or str(error))
    if is_about_credentials(error):
        return _no_token(error, text)
    if isinstance(error, exceptions.ResourceExhausted):
        return TransientError(
            f"Vertex's quota is used up: {text}; wait for runs to end, or ask for more at "
            f"https://console.cloud.google.com/iam-admin/quotas?project={project}"
        )
    if isinstance(error, exceptions.ServerError):
        return TransientError(
            f"Vertex does not answer at {host}: {text}; check the network and the setting "
            "cluster.vertex.location, or try again later"
        )
    reason = f"{getattr(error, 'reason', None) or ''} {text}"
    return StepError(f"Vertex refuses: {text}{_fix(reason, project, error)}")


def is_about_credentials(error: BaseException) -> bool:
    """Whether there is no token to ask with, or one that is not taken."""
    if isinstance(error, exceptions.ServiceUnavailable):
        return _NO_TOKEN in str(error)
    return isinstance(error, GoogleAuthError | exceptions.Unauthenticated)


def explained(message: str, project: str) -> str:
    """A failure that Vertex reports of a run or a step, with what to do where that is known."""
    text = one_line(message)
    return text + _fix(text, project, None) if text else ""


def one_line(text: str) -> str:
    """The text without line breaks, and without the full stop that another sentence follows."""
    return " ".join(text.split()).rstrip(". ")


def _no_token(error: BaseException, text: str) -> StepError:
    if isinstance(error, DefaultCredentialsError):
        return StepError(
            f"no Google Cloud credentials are here that can be used ({text}): {_LOG_IN}"
        )
    detail = text.partition(f"{_NO_TOKEN} with error: ")[2] or text
    if re.search(_NO_NETWORK, detail):
        return TransientError(f"no token is to be had for Vertex: {detail}; check the network")
    # google.auth's errors are pairs of a message and the answer that it is made from.
    words = re.match(r"\(+'([^']+)'", detail)
    detail = words[1] if words else detail
    return StepError(f"the Google Cloud credentials are expired or not taken ({detail}): {_LOG_IN}")


def _fix(text: str, project: str, error: BaseException | None) -> str:
    """What to do, as the end of a sentence; "" where nobody knows."""
    if re.search(_API_OFF, text):
        return f"; `gcloud services enable aiplatform.googleapis.com --project {project}`"
    if re.search(_NO_PROJECT, text, re.IGNORECASE):
        return f"; check the setting cluster.vertex.project ({project})"
    if re.search(_NO_BUCKET, text, re.IGNORECASE):
        return "; make the bucket, in the region of the runs, or set cluster.vertex.pipeline_root"
    role = _role(text, project) if re.search("permission|denied", text, re.IGNORECASE) else ""
    if not role and isinstance(error, exceptions.Forbidden):
        role = f"{_USER} {project}"
    if role:
        return f"; the role that is missing: {role}"
    if re.search(_NO_IMAGE, text, re.IGNORECASE):
        return "; push the image, and check the settings cluster.registry, tag and images"
    return ""


def _role(text: str, project: str) -> str:
    """The role that a missing permission is of, where, and for whom; "" if it is none of ours."""
    roles = (role for pattern, role in _ROLES if re.search(pattern, text, re.IGNORECASE))
    role = next(roles, "")
    if not role:
        return ""
    account = re.search(_ACCOUNT, text)
    bucket = re.search(_BUCKET, text, re.IGNORECASE)
    if role.endswith("bucket") and bucket:
        role += f" gs://{bucket['bucket']}"
    if role.endswith("project"):
        role += f" {project}"
    if role.endswith("service account"):
        return f"{role} {account[0]}" if account else role
    return f"{role}, for {account[0]}" if account else role
