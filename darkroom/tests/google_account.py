"""Keys of a server and of an account that stand-ins for Google's services take."""

import datetime
import functools
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest


class Keys(NamedTuple):
    """An RSA key and a certificate for it, in PEM."""

    key: bytes
    certificate: bytes


@pytest.fixture(scope="session")
def tls_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """The stand-ins' TLS key, whose certificate gRPC trusts for as long as the tests run."""
    keys = _tls_keys()
    roots = tmp_path_factory.mktemp("tls") / "roots.pem"
    roots.write_bytes(keys.certificate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(roots))
        yield keys


@functools.cache
def _tls_keys() -> Keys:
    # One key a process, whichever rooms' tests run in it: gRPC reads what it trusts once.
    return made_keys()


def made_keys() -> Keys:
    """A new key, with a certificate for localhost that it signed itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=12))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Keys(private, certificate.public_bytes(serialization.Encoding.PEM))


def account_file(keys: Keys, project: str) -> str:
    """The key file of a service account that signs with these keys."""
    account = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "1",
        "private_key": keys.key.decode(),
        "client_email": f"trigger@{project}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://localhost:1/token",
    }
    return json.dumps(account)
