"""A group: photographs whose records are in the same shards, one a split."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from components.ingest.sources.rows import Row


@dataclasses.dataclass(frozen=True)
class Group:
    """Photographs whose records are in the same shards, one a split.

    Attributes:
        number: Place among the groups; their shards are numbered by it.
        total: Number of groups.
        entries: Path of the Parquet file of their entries, in record order split by split, with a
            column `row`: each one's row as JSON, for people.
        shards: Paths of the shards by split; a split that has no record has none.
        digests: SHA-256 of each shard, by split.
        rejected: Path of the JSON Lines of the rows that were refused, with their ordinals.
        read: Number of photographs that were read for it.
        unstored: The rows of entries that were left out as copies so far, and are in no shard.
    """

    number: int
    total: int
    entries: str
    shards: Mapping[str, str]
    digests: Mapping[str, str]
    rejected: str = ""
    read: int = 0
    unstored: tuple[Row, ...] = ()


def moved(group: Group, folder: str) -> Group:
    """A group whose files have been brought to another folder."""

    def there(path: str) -> str:
        return f"{folder}/{path.rpartition('/')[2]}"

    shards = {split: there(path) for split, path in group.shards.items()}
    entries, rejected = there(group.entries), there(group.rejected)
    return dataclasses.replace(group, entries=entries, rejected=rejected, shards=shards)


def write_group(group: Group, folder: Path) -> None:
    """Writes what a group is beside its files, which are all in one folder."""
    facts = {
        "number": group.number,
        "total": group.total,
        "entries": Path(group.entries).name,
        "shards": {split: Path(path).name for split, path in group.shards.items()},
        "digests": group.digests,
        "rejected": Path(group.rejected).name,
        "read": group.read,
    }
    path = folder / numbered("group", group.number, group.total, "json")
    path.write_text(json.dumps(facts), encoding="utf-8")


def read_group(folder: Path, number: int, total: int) -> Group:
    """Reads what `write_group` wrote, wherever the files are now."""
    path = folder / numbered("group", number, total, "json")
    facts = json.loads(path.read_text(encoding="utf-8"))
    shards = {split: str(folder / name) for split, name in facts["shards"].items()}
    entries, rejected = (str(folder / facts[name]) for name in ("entries", "rejected"))
    return Group(**facts | {"shards": shards, "entries": entries, "rejected": rejected})


def numbered(kind: str, number: int, total: int, suffix: str) -> str:
    """File name of a group's part, such as `train-00000-of-00007.tfrecord`."""
    return f"{kind}-{number:05d}-of-{total:05d}.{suffix}"
