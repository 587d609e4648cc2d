"""Digests of code: a step's, over the modules that it really imports."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout, or an image's /app."""

_FLOORS = ("components", "darkroom")
"""Top-level packages whose modules are a step's code; the pipeline only calls it."""
_DATA = (".j2",)
"""Endings of files beside a module that are part of it."""


def code_digest(module: str) -> str:
    """SHA-256 over a module and all that it imports of this project, wherever in it that is.

    An import inside a function counts too. A package that looks its modules up by itself (with
    `pkgutil`) stands on all of them.

    Args:
        module: The module of a step, such as `components.ingest.ingest`.
    """
    digest = hashlib.sha256()
    for path in code_files(module):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
        digest.update(_file_digest(path, _stamp(path)))
    return digest.hexdigest()


def code_files(module: str) -> list[Path]:
    """The files that `code_digest` is taken over, sorted."""
    found: set[Path] = set()
    waiting = [module]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _path(name)
        if path is None:
            continue
        found.add(path)
        found.update(file for file in path.parent.iterdir() if file.suffix in _DATA)
        waiting += _imports(path, _stamp(path))
        waiting.append(name.rpartition(".")[0])  # importing a module runs its packages' __init__
    return sorted(found)


def _path(module: str) -> Path | None:
    if module.partition(".")[0] not in _FLOORS:
        return None
    place = ROOT.joinpath(*module.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=2000)
def _file_digest(path: Path, _stamp: tuple[int, int]) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@functools.lru_cache(maxsize=2000)
def _imports(path: Path, _stamp: tuple[int, int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_imported(ast.parse(path.read_bytes()), path)))


def _imported(tree: ast.Module, path: Path) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.name == "pkgutil":
                    yield from _siblings(path)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            # `from darkroom.artifacts import manifest` names a module too.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _siblings(path: Path) -> Iterator[str]:
    package = ".".join(path.parent.relative_to(ROOT).parts)
    yield from (f"{package}.{file.stem}" for file in sorted(path.parent.glob("*.py")))
