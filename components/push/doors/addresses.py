"""The doors behind an address."""

import re
from collections.abc import Sequence

from components.push.doors.door import Door
from components.push.doors.rest import RestDoor
from components.push.doors.tf_serving import TfServingDoor
from components.push.doors.v2 import V2GrpcDoor, V2RestDoor
from darkroom.errors import SettingsError

FORMS = (
    "http://HOST:PORT/v1/models/NAME (TF Serving's REST)",
    "http://HOST:PORT/v2/models/NAME (KServe's V2)",
    "grpc://HOST:PORT/NAME (both over gRPC; grpcs:// over TLS)",
    "https://REGION-aiplatform.googleapis.com/v1/projects/P/locations/L/endpoints/ID (Vertex)",
)
_REST = re.compile(r"https?://[^/]+/(.*/)?(v1/models/[^/]+|endpoints/[^/]+)(/versions/\d+)?/?")
_V2 = re.compile(r"https?://[^/]+/(.*/)?v2/models/[^/]+(/versions/\d+)?/?")
_GRPC = re.compile(r"(grpcs?)://([^/]+)/([^/]+)/?")


def is_address(text: str) -> bool:
    """Whether a text is an address of a server, and no model's folder or bucket."""
    return re.match(r"(https?|grpcs?)://", text) is not None


def doors_of(address: str) -> Sequence[Door]:
    """The doors behind an address; nothing is connected to yet.

    Raises:
        SettingsError: It has none of the known forms.
    """
    if _V2.fullmatch(address):
        return [V2RestDoor(address.rstrip("/"))]
    if _REST.fullmatch(address):
        return [RestDoor(address.rstrip("/"))]
    if match := _GRPC.fullmatch(address):
        return [TfServingDoor(*match.groups()), V2GrpcDoor(*match.groups())]
    raise SettingsError(f"'{address}' is no model's address; expected {', or '.join(FORMS)}")
