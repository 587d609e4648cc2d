"""What Vertex refuses, as one line for people: its own words, and what to do about it."""

import re

from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from components.push.targets.vertex.destination import Destination
from darkroom.errors import StepError

_LOG_IN = "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS"
# How gRPC words a failure of the credentials that it asked for a token.
_NO_TOKEN = "Getting metadata from plugin failed"
# As gRPC words it; a name server that is away itself is worth another try.
_NO_HOST = "Domain name not found"

_METRIC = r"\b[\w.-]+\.googleapis\.com/\w+"
_LIMIT = r"quota metrics? exceed|exceeds? quota|quota limits?\b(?!.*per minute)"
_PERMISSION = r"(?<![\w.@-])(?:aiplatform|storage|iam|artifactregistry|serviceusage)\.\w+\.\w+"
_ACCOUNT = r"[\w.-]+@[\w.-]+\.gserviceaccount\.com"
_NO_BUCKET = r"bucket.*(does not exist|not found)|(does not exist|not found).*bucket"
_API_OFF = r"SERVICE_DISABLED|has not been used in project"
_NO_PROJECT = r"CONSUMER_INVALID|USER_PROJECT_DENIED|resource project|project .*(not found|deleted)"
_NO_MACHINE = r"machine[ _]?type|accelerator"
_ROLES = {
    "storage": "roles/storage.objectUser on the bucket of {storage}",
    "iam": "roles/iam.serviceAccountUser on the service account",
    "artifactregistry": "roles/artifactregistry.reader on the image's repository",
    "serviceusage": "roles/serviceusage.serviceUsageConsumer on the project {project}",
    "aiplatform": "roles/aiplatform.user on the project {project}",
}


def to_step_error(error: BaseException, destination: Destination) -> StepError:
    """The line that says what Vertex refuses.

    Args:
        error: What google.api_core or google.auth raised.
        destination: Where it was.
    """
    text = one_line(getattr(error, "message", None) or str(error))
    if is_about_credentials(error):
        return _no_token(error, text)
    if isinstance(error, exceptions.ResourceExhausted):
        return _quota(text, destination)
    if isinstance(error, exceptions.ServerError):
        return StepError(
            f"Vertex does not answer at {destination.host}: {text}; check the network and the "
            f"location {destination.location}, or try again later"
        )
    reason = f"{getattr(error, 'reason', None) or ''} {text}"
    return StepError(f"Vertex refuses: {text}{_fix(reason, error, destination)}")


def is_worth_asking_again(error: BaseException) -> bool:
    """Whether a server is busy or away, or another change came first."""
    if is_about_credentials(error) or _NO_HOST in str(error):
        return False
    if isinstance(error, exceptions.ResourceExhausted):
        return not _is_limit(str(error))
    # gRPC's UNKNOWN and INTERNAL are how a stream that was cut off may end.
    return isinstance(error, exceptions.ServerError | exceptions.Aborted | exceptions.Unknown)


def is_about_credentials(error: BaseException) -> bool:
    """Whether there is no token to ask with, or one that is not taken."""
    if isinstance(error, exceptions.ServiceUnavailable):
        return _NO_TOKEN in str(error)
    return isinstance(error, GoogleAuthError | exceptions.Unauthenticated)


def one_line(text: str) -> str:
    """The text without line breaks, and without the full stop that another sentence follows."""
    return " ".join(text.split()).rstrip(". ")


def _is_limit(text: str) -> bool:
    """Whether a quota is of things that are there, and not of requests a minute."""
    return re.search(_LIMIT, text, re.IGNORECASE | re.DOTALL) is not None


def _quota(text: str, destination: Destination) -> StepError:
    metric = re.search(_METRIC, text)
    which = f"quota {metric[0]}" if metric else "quota"
    where = f"of {destination.project} in {destination.location}"
    end = (
        "undeploy what no longer serves, or take a smaller machine or fewer replicas"
        if _is_limit(text)
        else "try again later"
    )
    return StepError(
        f"Vertex's {which} {where} is used up: {text}; {end}, or ask for more at "
        f"https://console.cloud.google.com/iam-admin/quotas?project={destination.project}"
    )


def _no_token(error: BaseException, text: str) -> StepError:
    if isinstance(error, DefaultCredentialsError):
        return StepError(
            f"no Google Cloud credentials are here that can be used ({text}): {_LOG_IN}"
        )
    detail = text.partition(f"{_NO_TOKEN} with error: ")[2] or text
    # google.auth's errors are pairs of a message and the answer that it is made from.
    words = re.match(r"\(+'([^']+)'", detail)
    detail = words[1] if words else detail
    return StepError(f"the Google Cloud credentials are expired or not taken ({detail}): {_LOG_IN}")


def _fix(text: str, error: BaseException, destination: Destination) -> str:
    """What to do, as the end of a sentence; "" where nobody knows."""
    if re.search(_API_OFF, text):
        project = destination.project
        return f"; `gcloud services enable aiplatform.googleapis.com --project {project}`"
    if re.search(_NO_PROJECT, text, re.IGNORECASE):
        return f"; check the project {destination.project} in {destination.text}"
    if re.search(_NO_BUCKET, text, re.IGNORECASE):
        return f"; make the bucket of {destination.storage}, in {destination.location}"
    if isinstance(error, exceptions.Forbidden) or re.search("permission", text, re.IGNORECASE):
        return f"; {_missing_role(text, destination)}"
    if isinstance(error, exceptions.InvalidArgument) and re.search(_NO_MACHINE, text):
        return f"; check machine and accelerator, which {destination.location} must have"
    return ""


def _missing_role(text: str, destination: Destination) -> str:
    permission = re.search(_PERMISSION, text)
    room = permission[0].partition(".")[0] if permission else "aiplatform"
    if permission is None and re.search(r"\bbucket\b|gs://", text):
        room = "storage"
    if permission is None and re.search(r"act[\s_]?as\b", text, re.IGNORECASE):
        room = "iam"
    role = _ROLES[room].format(storage=destination.storage, project=destination.project)
    account = re.search(_ACCOUNT, text)
    which = f"the permission {permission[0]} is missing, which is in" if permission else "give"
    return f"{which} {role}{f', for {account[0]}' if account and room != 'iam' else ''}"
