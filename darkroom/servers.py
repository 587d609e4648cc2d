"""What all clients of a model server go by."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError
from darkroom.storage.atomic import os_reason

API_KEY_VARIABLE = "DARKROOM_API_KEY"
"""Environment variable with the key for servers that want one, as `darkroom serve` with
`api_keys`."""
_CERTIFICATES = "SSL_CERT_FILE"
"""Environment variable with the file of certificates to trust, in PEM, that httpx reads too."""


def is_here(address: str) -> bool:
    """Whether an address is of this machine, to which no proxy leads."""
    return re.match(r"(\w+://)?(localhost|127\.[\d.]+|\[::1\])(:|/|$)", address) is not None


def http_options(url: str) -> dict[str, Any]:
    """How httpx reaches a server: to this machine no proxy leads, `SSL_CERT_FILE` holds there too.

    Raises:
        SettingsError: The certificates of `SSL_CERT_FILE` cannot be read.
    """
    import httpx

    options: dict[str, Any] = {"trust_env": not is_here(url)}
    if url.startswith("https://"):
        try:
            options["verify"] = httpx.create_ssl_context()
        except OSError as error:
            raise _unreadable(error) from None
    return options


def grpc_channel(host: str, secure: bool, options: Sequence[tuple[str, Any]] = ()) -> Any:
    """A channel to a server; nothing is connected to yet.

    Args:
        host: `HOST:PORT`.
        secure: Whether it is over TLS; then the certificates of `SSL_CERT_FILE` are trusted, if
            that is set.
        options: Options of the channel.

    Raises:
        SettingsError: The certificates cannot be read.
    """
    import grpc

    options = [*options, *([("grpc.enable_http_proxy", 0)] if is_here(host) else [])]
    if not secure:
        return grpc.insecure_channel(host, options)
    file = os.environ.get(_CERTIFICATES)
    try:
        roots = Path(file).read_bytes() if file else None
    except OSError as error:
        raise _unreadable(error) from None
    return grpc.secure_channel(host, grpc.ssl_channel_credentials(roots), options)


def _unreadable(error: OSError) -> SettingsError:
    file = os.environ.get(_CERTIFICATES, "")
    return SettingsError(f"{_CERTIFICATES} {file} cannot be read: {os_reason(error)}")
