"""Destinations of the KServe target: which InferenceService, and the bucket of its versions."""

import dataclasses
import re
import urllib.parse

from darkroom.errors import SettingsError

SCHEME = "kserve://"
FORM = (
    "a KServe InferenceService, such as "
    f"{SCHEME}NAMESPACE/NAME?storage=gs://my-bucket/served/flowers"
)
_STORES = ("gs://", "s3://")
_OPTIONS = ("storage", "runtime", "timeout")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
# Names of services are made of it, and KServe wants a letter first.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_TIMEOUT = 600


@dataclasses.dataclass(frozen=True)
class Destination:
    """An InferenceService and the bucket of its versions.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        storage: URI of the model repository.
        runtime: The ServingRuntime to use; None: KServe chooses one for TensorFlow's models.
        timeout: Seconds in which a version must be ready.
    """

    namespace: str
    name: str
    storage: str
    runtime: str | None
    timeout: int


def parsed_destination(destination: str) -> Destination:
    """Takes a destination apart.

    Raises:
        SettingsError: It is not of this form.
    """
    parts = urllib.parse.urlsplit(destination)
    namespace, name = parts.netloc, parts.path.removeprefix("/")
    if not _LABEL.fullmatch(namespace) or not _NAME.fullmatch(name):
        raise SettingsError(
            f"'{destination}' names no InferenceService, expected {FORM} (names are lower-case "
            "letters, digits and hyphens)"
        )
    options = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(options.keys() - set(_OPTIONS)):
        raise SettingsError(
            f"'{destination}' has the option '{unknown[0]}', known are {', '.join(_OPTIONS)}"
        )
    return Destination(
        namespace,
        name,
        _storage(destination, options.get("storage", "")),
        _runtime(destination, options.get("runtime")),
        _seconds(destination, options.get("timeout", str(_TIMEOUT))),
    )


def _storage(destination: str, storage: str) -> str:
    if storage.startswith("pvc://"):
        raise SettingsError(
            f"'{destination}' has its storage in a volume, which cannot be written from outside "
            f"the cluster: use a bucket, {' or '.join(_STORES)}"
        )
    bucket = storage.partition("://")[2].partition("/")[0]
    if not storage.startswith(_STORES) or not bucket:
        raise SettingsError(
            f"'{destination}' says no bucket for the versions: add ?storage= with the URI of a "
            f"folder, {' or '.join(_STORES)}"
        )
    return storage.rstrip("/")


def _runtime(destination: str, runtime: str | None) -> str | None:
    if runtime is not None and not _LABEL.fullmatch(runtime):
        raise SettingsError(f"'{destination}' has the runtime '{runtime}', which is no name of one")
    return runtime


def _seconds(destination: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise SettingsError(f"'{destination}' has the timeout '{text}', expected whole seconds")
    return int(text)
