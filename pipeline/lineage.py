"""From a model back to its run, data, settings, code and images, by its manifest alone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.push.targets import target_for
from components.push.targets.target import PUSHED
from darkroom.artifacts.data_root import RECORDS
from darkroom.artifacts.examples import KIND as EXAMPLES
from darkroom.artifacts.examples import examples_digest
from darkroom.artifacts.manifest import MANIFEST, PROVENANCE, folder_digest
from darkroom.errors import StepError
from darkroom.storage.paths import is_uri
from pipeline.targets.local.run_folder import RUN_FILE

if TYPE_CHECKING:
    from rich.tree import Tree

_DIGITS_SHOWN = 12
_LEFT_OUT = ("format_version", "columns", "pixel_mean", "pixel_variance")


def read_lineage(place: Path | str) -> dict[str, Any]:
    """Reads how an artifact came about.

    Args:
        place: A model or another artifact, where models are pushed, or a run's folder.

    Returns:
        What its manifest says, with `folder` and whether it is `intact`: its files are those of
        its digest (None where they are in a store). `provenance` has its run, code and image and,
        in `inputs`, what it was made of, each with a `provenance` of its own. JSON values.

    Raises:
        StepError: There is no manifest, or it cannot be read.
    """
    if is_uri(str(place)):
        return _pushed_lineage(str(place))
    folder = Path(place)
    artifact = _artifact(folder)
    try:
        manifest = json.loads((artifact / MANIFEST).read_text(encoding="utf-8"))
        kind, digest = manifest["kind"], manifest.get("digest")
    except FileNotFoundError:
        raise StepError(
            f"{folder} has no {MANIFEST}: give a model's folder, or where models are pushed"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StepError(f"cannot read {artifact / MANIFEST}: {error}") from None
    found = _without_left_out(manifest)
    if not digest or RECORDS in manifest:  # what is in a store is not read for this
        return {"folder": str(artifact), "intact": None, **found}
    intact = (examples_digest if kind == EXAMPLES else folder_digest)(artifact) == digest
    return {"folder": str(artifact), "intact": intact, **found}


def _pushed_lineage(destination: str) -> dict[str, Any]:
    """The lineage of the version that serves at a target that is no folder."""
    current = target_for(destination).current()
    if current is None or not current.manifest:
        raise StepError(f"{destination} serves no version that Darkroom pushed")
    found = _without_left_out(current.manifest)
    return {"folder": current.location, "intact": None, **found}


def _without_left_out(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name not in _LEFT_OUT}


def _artifact(folder: Path) -> Path:
    if not folder.is_dir():
        raise StepError(f"{folder} is no folder: give a model's, or where models are pushed")
    if (folder / MANIFEST).exists():
        return folder
    current = target_for(str(folder)).current()
    if current is not None:
        return Path(current.location)
    try:
        run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return Path(run["artifacts"]["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder


def lineage_tree(lineage: Mapping[str, Any]) -> "Tree":
    """The lineage for people.

    Args:
        lineage: What `read_lineage` gave.
    """
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(f"{lineage['kind']} {lineage['folder']}"))
    if lineage["intact"] is False:
        tree.add(Text("its files were CHANGED since it was made"))
    if PUSHED in lineage:
        pushed = lineage[PUSHED]
        lines = _made_lines(pushed[PROVENANCE])[:1]
        lines.append(f"evaluated: {_values(pushed['evaluation']['metrics'])}")
        lines.append(f"as set: {_values(pushed['evaluation']['settings'])}")
        _add_lines(tree.add(Text(PUSHED)), lines)
    _add_artifact(tree, lineage, [], [])
    return tree


def _add_artifact(
    tree: "Tree", artifact: Mapping[str, Any], said: Sequence[str], steps: list[Mapping[str, Any]]
) -> None:
    """Adds what is to be said of an artifact.

    Args:
        tree: Where to.
        artifact: The artifact.
        said: Lines that are shown above it, on the way to the root.
        steps: The provenance of the steps that are shown.
    """
    from rich.text import Text

    made = artifact.get(PROVENANCE) or {}
    lines = [f"digest: {_short(artifact.get('digest'))}"]
    for name in ("data", "counts", "rejected", "image_size"):
        if name in artifact:
            lines.append(f"{name.replace('_', ' ')}: {_values(artifact[name])}")
    if made and made in steps:
        _add_lines(tree, [*lines, f"made: by {made['step']}, as above"])
        return
    steps.append(made)
    lines += [line for line in _made_lines(made) if line not in said]
    if "settings" in artifact:
        lines.append(f"settings: {_values(artifact['settings'])}")
    for key, file in made.get("files", {}).items():
        lines.append(f"{key}: {file['path']}, digest {_short(file['digest'])}")
    _add_lines(tree, lines)
    for name, source in made.get("inputs", {}).items():
        _add_artifact(tree.add(Text(name)), source, [*said, *lines], steps)


def _made_lines(made: Mapping[str, Any]) -> list[str]:
    if not made:
        return ["made outside a step, or by a release that did not say how"]
    code = made["code"]
    commit = f"commit {_short(code['commit'])}{' with changes' if code['changed'] else ''}"
    version = f"version {code['version']}"  # which an image does not know
    known = [(code["commit"], commit), (code["version"], version)]
    packages = ", ".join(f"{name} {number}" for name, number in made["packages"].items())
    place = made["run"] or next(iter(made["outputs"].values()), "no named run")
    return [
        f"made: by {made['step']} in {place}, {made['started']}, source {_short(code['source'])}",
        f"code: {', '.join(words for fact, words in known if fact) or 'unknown'}",
        f"image: {made['image'] or 'none, run in an environment'}",
        f"with: Python {made['python']}, {packages}",
    ]


def _add_lines(tree: "Tree", lines: Sequence[str]) -> None:
    from rich.text import Text

    for line in lines:
        tree.add(Text(line))


def _values(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{key} {shown}" for key, shown in _leaves(value)) or "none"


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        elif value is not None and value != []:
            yield f"{above}{key}", f"{value:.4g}" if isinstance(value, float) else str(value)


def _short(digest: str | None) -> str:
    return digest[:_DIGITS_SHOWN] if digest else "unknown"
