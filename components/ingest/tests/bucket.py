"""A bucket in memory, which Beam's file systems find by its scheme, `shelf://`."""

import io
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem


class _Lost(io.BytesIO):
    """A file whose connection is lost half-way."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError("connection reset")
        return super().read(9)


class Bucket(FileSystem):  # type: ignore[misc]
    """Beam's file system interface over a mapping: flat names, as a bucket has."""

    objects: ClassVar[dict[str, bytes]] = {}
    times: ClassVar[dict[str, float]] = {}

    @classmethod
    def scheme(cls) -> str:
        return "shelf"

    def has_dirs(self) -> bool:
        return False

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        if dir_or_prefix.startswith("shelf://locked"):
            raise BeamIOError("List failed", {dir_or_prefix: PermissionError("403 Forbidden:\nno")})
        for path, data in self.objects.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(data), self.times.get(path, 0.0))

    def exists(self, path: str) -> bool:
        if path.startswith("shelf://locked"):
            raise PermissionError("403 Forbidden")
        return path in self.objects

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def size(self, path: str) -> int:
        return len(self.objects[path])

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> io.BytesIO:
        if path.endswith("secret.csv"):
            raise BeamIOError("Open failed", {path: PermissionError("403 Forbidden")})
        if path.endswith("lost.csv"):
            return _Lost(self.objects[path])
        if path not in self.objects:
            raise FileNotFoundError(path)
        return io.BytesIO(self.objects[path])

    def _read_only(self, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError

    mkdirs = create = copy = rename = delete = checksum = last_updated = _read_only
