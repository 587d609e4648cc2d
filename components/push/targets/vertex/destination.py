"""A destination on Vertex AI, as it is written: a project, a location, a name, and options.

The options are in the destination and not in settings: `darkroom promote`, `rollback` and
`versions` are told the destination alone, and a rollback may have to deploy a version again.
"""

import dataclasses
import re
import urllib.parse

from darkroom.errors import SettingsError
from darkroom.settings import nearest

SCHEME = "vertex://"
FORM = "vertex://PROJECT/LOCATION/NAME?storage=gs://my-bucket/served/flowers"

_PROJECT = r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"
_LOCATION = r"[a-z]+-[a-z]+[0-9]+"
# What both a model's id and an endpoint's may be.
_NAME = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_STORAGE = r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:/[^/?#]+)+"
_REPLICAS = r"([1-9][0-9]{0,3})(?:-([1-9][0-9]{0,3}))?"
_OPTIONS = (
    *("storage", "only", "machine", "accelerator", "accelerators"),
    *("replicas", "image", "account", "host"),
)


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where a model serves on Vertex AI, and on what.

    Attributes:
        text: As it was written.
        project: Project id.
        location: Region, such as `europe-west4`.
        name: Display name of the model in Model Registry and of the endpoint.
        storage: `gs://` URI of the model repository, whose log says what serves.
        registry_only: Whether nothing is deployed: Model Registry's aliases alone say what serves.
        machine: Machine type of a deployed version.
        accelerator: Type of accelerator, such as `NVIDIA_TESLA_T4`; "" without one.
        accelerators: How many of them a machine has.
        replicas: The fewest and the most machines of a version.
        image: The serving container.
        account: Service account that the container runs as; "" leaves it to Vertex.
        host: Address of the API.
    """

    text: str
    project: str
    location: str
    name: str
    storage: str
    registry_only: bool
    machine: str
    accelerator: str
    accelerators: int
    replicas: tuple[int, int]
    image: str
    account: str
    host: str

    @property
    def parent(self) -> str:
        """Resource name of the location."""
        return f"projects/{self.project}/locations/{self.location}"


def parsed_destination(text: str) -> Destination:
    """Reads a destination.

    Args:
        text: As `FORM`, with any of the options `only=registry`, `machine`, `accelerator`,
            `accelerators`, `replicas` (`2` or `1-3`), `image`, `account` and `host`.

    Raises:
        SettingsError: It is not of the form; the message says which part is not.
    """
    place, _, query = text.removeprefix(SCHEME).partition("?")
    parts = place.rstrip("/").split("/")
    if len(parts) != 3:
        raise SettingsError(f"'{text}' is not of the form {FORM}")
    project, location, name = parts
    options = _options(text, query)
    if "storage" not in options:
        raise SettingsError(f"'{text}' does not say where the files go: {FORM}")
    storage = options["storage"].rstrip("/")
    _check(text, "project", project, _PROJECT, "the id of a project, such as my-project")
    _check(text, "location", location, _LOCATION, "a region, such as europe-west4")
    _check(text, "name", name, _NAME, "lowercase letters, digits and '-', at most 63")
    _check(
        text, "storage", storage, _STORAGE, "a folder of a bucket, such as gs://my-bucket/served"
    )
    _check(text, "only", options.get("only", "registry"), "registry", "only=registry")
    _check(text, "replicas", options.get("replicas", "1"), _REPLICAS, "a number, or as 1-3")
    _check(text, "accelerators", options.get("accelerators", "1"), "[1-9][0-9]?", "a number")
    if "accelerators" in options and "accelerator" not in options:
        raise SettingsError(f"'{text}' has accelerators, but does not say which accelerator")
    accelerator = options.get("accelerator", "")
    return Destination(
        text=text,
        project=project,
        location=location,
        name=name,
        storage=storage,
        registry_only="only" in options,
        machine=options.get("machine", "n1-standard-4"),
        accelerator=accelerator,
        accelerators=int(options.get("accelerators", "1")) if accelerator else 0,
        replicas=_replicas(text, options.get("replicas", "1")),
        image=options.get("image") or _prebuilt_image(location, bool(accelerator)),
        account=options.get("account", ""),
        host=options.get("host", f"{location}-aiplatform.googleapis.com"),
    )


def _options(text: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise SettingsError(f"'{text}': no option '{key}'{nearest(key, _OPTIONS)}")
        if not value or key in options:
            problem = "is there twice" if key in options else "has no value"
            raise SettingsError(f"'{text}': the option '{key}' {problem}")
        options[key] = value
    return options


def _check(text: str, part: str, value: str, pattern: str, expected: str) -> None:
    if not re.fullmatch(pattern, value):
        raise SettingsError(f"'{text}': {part} '{value}' is none, expected {expected}")


def _replicas(text: str, value: str) -> tuple[int, int]:
    fewest, _, most = value.partition("-")
    replicas = int(fewest), int(most or fewest)
    if replicas[0] > replicas[1]:
        raise SettingsError(f"'{text}': replicas {value}, expected the fewest first")
    return replicas


def _prebuilt_image(location: str, gpu: bool) -> str:
    """Vertex's own TensorFlow Serving, from the continent that is nearest."""
    area = location.partition("-")[0]
    nearest_area = {"asia": "asia", "australia": "asia"} | dict.fromkeys(
        ("europe", "me", "africa"), "europe"
    )
    kind = "tf2-gpu" if gpu else "tf2-cpu"
    host = f"{nearest_area.get(area, 'us')}-docker.pkg.dev"
    return f"{host}/vertex-ai/prediction/{kind}.2-15:latest"
