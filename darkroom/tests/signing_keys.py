"""Keys that sign pushed versions."""

from pathlib import Path


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A private key that signs versions, and its public key, in PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder.mkdir(exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "private.pem").write_bytes(
        private.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "public.pem").write_bytes(private.public_key().public_bytes(pem, form))
    return folder / "private.pem", folder / "public.pem"
