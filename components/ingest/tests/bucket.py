"""A bucket in memory, which fsspec finds by its scheme, `shelf://`: flat names, some refused."""

from typing import Any, ClassVar

from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFile
from fsspec.spec import AbstractFileSystem


class Bucket(AbstractFileSystem):
    """fsspec's interface over a mapping from URI to content."""

    protocol = "shelf"
    objects: ClassVar[dict[str, bytes]] = {}
    times: ClassVar[dict[str, float]] = {}
    written: ClassVar[list[str]] = []
    """URIs in the order in which they were written."""

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if path.startswith("locked"):
            raise PermissionError("403 Forbidden:\nno")
        below: dict[str, dict[str, Any]] = {}
        for uri, data in self.objects.items():
            name = self._strip_protocol(uri)
            if name == path:
                below[name] = self._file(uri, data)
            elif name.startswith(f"{path}/"):
                rest = name.removeprefix(f"{path}/")
                child = f"{path}/{rest.partition('/')[0]}"
                folder = {"name": child, "size": 0, "type": "directory"}
                below[child] = folder if "/" in rest else self._file(uri, data)
        if not below:
            raise FileNotFoundError(path)
        return list(below.values()) if detail else list(below)

    def _file(self, uri: str, data: bytes) -> dict[str, Any]:
        modified = self.times.get(uri, 0.0)
        name = self._strip_protocol(uri)
        return {"name": name, "size": len(data), "type": "file", "mtime": modified}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> MemoryFile:
        uri = self.unstrip_protocol(path)
        if uri.endswith("secret.csv"):
            raise PermissionError("403 Forbidden")
        if mode == "wb":
            return _Upload(uri)
        if uri not in self.objects:
            raise FileNotFoundError(path)
        kind = _Lost if uri.endswith("lost.csv") else MemoryFile
        return kind(data=self.objects[uri])

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Buckets have no folders."""

    def _rm(self, path: str) -> None:
        self.objects.pop(self.unstrip_protocol(path), None)


class _Lost(MemoryFile):
    """A file whose connection is lost half-way."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError("connection reset")
        content: bytes = super().read(9)
        return content


class _Upload(MemoryFile):
    """A file that is there when it is closed."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._uri = uri

    def close(self) -> None:
        Bucket.objects[self._uri] = self.getvalue()
        Bucket.written.append(self._uri)


register_implementation("shelf", Bucket, clobber=True)
