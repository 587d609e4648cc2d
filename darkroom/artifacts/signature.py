"""The signature of a pushed version, by the OpenSSF's model signing: of all its other files.

Anybody can check it without Darkroom: `model_signing verify key VERSION --signature
VERSION/proof/model.sig --public-key KEY`.
"""

from pathlib import Path
from typing import Any

from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import os_reason

SIGNATURE = "proof/model.sig"
"""The signature's file within a version."""


def sign_version(version: Path, private_key: Path) -> None:
    """Signs a version's files; none is written afterwards.

    Args:
        version: Its folder.
        private_key: File of an elliptic curve's private key, in PEM.

    Raises:
        SettingsError: The key cannot be read.
    """
    _signer(private_key).set_hashing_config(_hashing(version)).sign(version, version / SIGNATURE)


def check_signature(version: Path, public_key: Path) -> None:
    """Checks that a version is signed by a key, and that no file has changed since.

    Args:
        version: Its folder.
        public_key: File of the public key, in PEM.

    Raises:
        SettingsError: The key cannot be read.
        StepError: It is not signed, by another key, or was changed.
    """
    config = _verifier(public_key)
    if not (version / SIGNATURE).is_file():
        raise StepError(f"{version} is not signed")
    try:
        config.set_hashing_config(_hashing(version)).verify(version, version / SIGNATURE)
    except Exception as error:  # the library raises what it likes for a file that is no signature
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise StepError(f"{version} is not what {public_key} has signed: {reason}") from None


def check_public_key(public_key: Path) -> None:
    """Checks that a file holds a public key, before anything is to be checked with it.

    Args:
        public_key: The file, in PEM.

    Raises:
        SettingsError: It cannot be read, or is none.
    """
    _verifier(public_key)


def check_private_key(private_key: Path) -> None:
    """Checks that a file holds a private key, before anything is to be signed with it.

    Args:
        private_key: The file, in PEM.

    Raises:
        SettingsError: It cannot be read, or is none.
    """
    _signer(private_key)


def _signer(private_key: Path) -> Any:
    from model_signing import signing

    try:
        return signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError) as error:
        raise SettingsError(f"push.signing_key {private_key} is no private key: {error}") from None


def _verifier(public_key: Path) -> Any:
    from model_signing import verifying

    try:
        return verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except OSError as error:
        raise SettingsError(f"cannot read public key {public_key}: {os_reason(error)}") from None
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{public_key} is no public key: {error}") from None


def _hashing(version: Path) -> object:
    from model_signing import hashing

    itself = [version / SIGNATURE]
    return hashing.Config().set_ignored_paths(paths=itself, ignore_git_paths=False)
