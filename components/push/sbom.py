"""The bill of materials of a version, as CycloneDX: the model, its files, and the packages here."""

import importlib.metadata
from collections.abc import Mapping

from darkroom.artifacts.model import Model


def bill_of_materials(name: str, model: Model, files: Mapping[str, str]) -> str:
    """What a version is made of, as CycloneDX 1.6 in JSON.

    The packages are those of the environment that pushes: in the push image, the model server's.

    Args:
        name: The model's name.
        model: The model.
        files: SHA-256 of its files by path.
    """
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from packageurl import PackageURL

    bom = Bom()
    root = Component(
        name=name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        version=str(model.manifest["digest"]),
        bom_ref="model",
    )
    bom.metadata.component = root
    for path, digest in sorted(files.items()):
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest)]
        bom.components.add(Component(name=path, type=ComponentType.FILE, hashes=hashes))
    for package, version in sorted(_packages().items()):
        bom.components.add(
            Component(
                name=package,
                type=ComponentType.LIBRARY,
                version=version,
                purl=PackageURL("pypi", name=package, version=version),
            )
        )
    bom.register_dependency(root, bom.components)
    written: str = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(
        indent=2
    )
    return written


def _packages() -> dict[str, str]:
    """Versions of the installed packages by name."""
    found = importlib.metadata.distributions()
    return {package.name.lower(): package.version for package in found if package.name}
