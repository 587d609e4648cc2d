"""Settings of the model server."""

import ssl
from pathlib import Path
from typing import Annotated, Self

import pydantic

from darkroom.settings import Settings

_ModelName = Annotated[str, pydantic.Field(pattern=r"^[^/.][^/]*$")]


class SampleSettings(Settings):
    """A share of the answers, kept in files for monitoring."""

    folder: str | None = pydantic.Field(default=None, min_length=1)
    """Where the files go: `NAME/samples.jsonl` of each model, and older ones. Unset: nothing is
    kept."""

    rate: float = pydantic.Field(default=0.01, gt=0, le=1)
    """The share of the photographs."""

    images: bool = False
    """Whether the photographs are kept too, not their digests alone."""

    file_mb: int = pydantic.Field(default=64, ge=1)
    """MB (2**20 bytes) of a file; then another is begun."""

    files: int = pydantic.Field(default=20, ge=2)
    """How many files stay; older ones are removed."""


class ServeSettings(Settings):
    """The models, the ports, and what one client may take."""

    models: dict[_ModelName, Annotated[str, pydantic.Field(min_length=1)]] = pydantic.Field(
        default_factory=dict
    )
    """The models by their names in `/v1/models/NAME`, each a path or URI as `MODEL_DIR` is."""

    host: str = pydantic.Field(default="127.0.0.1", min_length=1)
    """The address to listen at: by default this machine alone; `0.0.0.0` is all of the network, as
    in the image."""

    port: int = pydantic.Field(default=8501, ge=1, le=65535)
    """The port of the REST API."""

    predict_route: str | None = pydantic.Field(default=None, pattern="^/")
    """A further path for predictions, such as the one that Vertex AI calls; of one model alone."""

    health_route: str | None = pydantic.Field(default=None, pattern="^/")
    """A further path that says whether a model serves."""

    grpc_port: int | None = pydantic.Field(default=None, ge=1, le=65535)
    """The port of the gRPC APIs, TF Serving's and KServe's V2; no gRPC if unset."""

    poll_seconds: float = pydantic.Field(default=2.0, gt=0)
    """Seconds between two checks for versions that were pushed or rolled back."""

    public_key: str | None = pydantic.Field(default=None, min_length=1)
    """File of the public key, in PEM, that must have signed a version (`push.signing_key`); others
    are not loaded. Unset: versions need no signature."""

    api_keys: str | None = pydantic.Field(default=None, min_length=1)
    """File of keys, a line each: who asks for an answer sends one as `Authorization: Bearer KEY` or
    `X-API-Key`. It is read again when it changes. Unset: anybody is answered."""

    tls_certificate: str | None = pydantic.Field(default=None, min_length=1)
    """File of the certificate chain, in PEM, for HTTPS and gRPC over TLS; with `tls_key`."""

    tls_key: str | None = pydantic.Field(default=None, min_length=1)
    """File of its private key, in PEM."""

    max_body_bytes: int = pydantic.Field(default=100 * 2**20, ge=1, le=2**31 - 1)
    """Bytes of a request's body, at most; else 413. All bodies together have four times as many;
    else 429."""

    max_pixels: int = pydantic.Field(default=100_000_000, ge=1)
    """Pixels of all photographs of a request, by their headers, at most; else 413. A request takes
    up to some 15 bytes a pixel."""

    max_instances: int = pydantic.Field(default=1024, ge=1)
    """Instances of a request, at most; else 413."""

    max_requests: int = pydantic.Field(default=32, ge=1)
    """Requests that are read, wait and are answered at a time; else 429. As many as keep the
    processors or the GPU busy: with more, each waits longer, and none is answered sooner."""

    body_seconds: float = pydantic.Field(default=10.0, gt=0)
    """Seconds in which a request's headers, and then its body, must have come; else 408. So long a
    connection may be idle at first, and its client read nothing of an answer."""

    answer_seconds: float = pydantic.Field(default=60.0, gt=0)
    """Seconds in which an answer must be there; else 503."""

    batch_size: int = pydantic.Field(default=32, ge=1)
    """Instances of several requests that share one call of the model, at most; 1: each request is
    called alone."""

    batch_wait_ms: float = pydantic.Field(default=2.0, ge=0, le=1000)
    """Milliseconds that a call waits for other requests that the server is reading; 0: it takes
    those that came while the one before it ran."""

    access_log: bool = False
    """Whether each request gets a JSON line on standard output; if not, only those do that the
    server failed to answer."""

    shadow: float = pydantic.Field(default=0.0, ge=0, le=1)
    """The share of the serving version's answers that the canary gives too, after them and while
    the server is idle: they are compared, and not sent."""

    sample: SampleSettings = SampleSettings()
    """A share of the answers, kept for monitoring."""

    allow_files: tuple[str, ...] = ()
    """Folders, or URIs such as `gs://bucket/inbox`, below which the signature `from_filenames` may
    read files; by default none."""

    @property
    def probe_paths(self) -> frozenset[str]:
        """What probes and Prometheus ask every few seconds: not noted in the log."""
        paths = ("/v2/health/live", "/v2/health/ready", "/metrics", self.health_route)
        return frozenset(filter(None, paths))

    @property
    def open_paths(self) -> frozenset[str]:
        """What needs no key: probes, and the page, which says nothing without one."""
        return self.probe_paths | {"/"}

    @pydantic.model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.grpc_port:
            raise ValueError("port and grpc_port must differ")
        return self

    @pydantic.model_validator(mode="after")
    def _route_is_of_one_model(self) -> Self:
        if self.predict_route is not None and len(self.models) > 1:
            raise ValueError("predict_route has no model's name: serve one model")
        return self

    @pydantic.model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        for file in filter(None, (self.tls_certificate, self.tls_key)):
            if not Path(file).is_file():
                raise ValueError(f"there is no file {file}")
        if self.tls_certificate is not None:
            _check_pair(self.tls_certificate, self.tls_key)
        return self


def _check_pair(certificate: str, key: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for an encrypted key's at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise ValueError(
            f"{certificate} and {key} are not a certificate in PEM and its unencrypted key "
            f"({reason})"
        ) from None
