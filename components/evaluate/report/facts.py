"""How the examples, the model and the evaluation were made, as rows of tables."""

import datetime
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.evaluate.report.training import History
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import SPLITS, Examples
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.artifacts.model import Model

LONGEST_VALUE = 300
"""Characters of a value that are shown."""

_OF_DATA = ("data", "rejected", "settings")
"""Of the examples' manifest: where they came from, what was left out and why, how it was split."""

Rows = list[tuple[str, str]]


def facts_of(
    examples: Examples, model: Model, settings: EvaluateSettings, history: History | None
) -> dict[str, Rows]:
    """What there is to know, by heading: names and values.

    The settings of the steps before training, and theirs before, are in the model's manifest:
    `darkroom lineage` shows them.
    """
    counts = {split: examples.counts.get(split, 0) for split in SPLITS}
    apart = ("kind", "labels", "settings", PROVENANCE)
    provenance = dict(model.manifest.get(PROVENANCE, {}))
    inputs = dict(_digests(provenance.pop("inputs", {})))
    facts = {
        "Photographs": [
            ("labels", ", ".join(examples.labels)[:LONGEST_VALUE]),
            *_flat(counts),
            *_marked(examples),
            *_flat({k: examples.manifest[k] for k in _OF_DATA if k in examples.manifest}),
        ],
        "Cost of the training": _cost(history),
        "Model": _flat({k: v for k, v in model.manifest.items() if k not in apart}),
        "Trained from, by digest": _flat(inputs),
        "Trained by": _flat(provenance),
        "Training": _flat(model.manifest.get("settings", {})),
        "Evaluation": _flat(settings.model_dump(mode="json", exclude_none=True)),
    }
    return {heading: rows for heading, rows in facts.items() if rows}


def _marked(examples: Examples) -> Rows:
    marked = examples.pseudo_labelled
    return [("of train, with labels that a model gave", f"{marked:,}")] if marked else []


def _cost(history: History | None) -> Rows:
    """How long the training took, by phase, and how long an epoch."""
    rows: Rows = []
    epochs = [] if history is None else history.epochs
    for phase, group in itertools.groupby(epochs, lambda entry: str(entry.get("phase", ""))):
        seconds = [float(entry.get("seconds", 0)) for entry in group]
        total = datetime.timedelta(seconds=round(sum(seconds)))
        rows.append((phase, f"{total} for {len(seconds)} epochs"))
    return rows


def _digests(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The digest of every artifact that it is made of, and of what those are made of."""
    for name, manifest in inputs.items():
        if isinstance(manifest, Mapping):
            if manifest.get("digest"):
                yield name, str(manifest["digest"])
            yield from _digests(manifest.get(PROVENANCE, {}).get("inputs", {}))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Rows:
    """Nested mappings as dotted names, other values as JSON."""
    rows: Rows = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((f"{prefix}{name}", text[:LONGEST_VALUE]))
    return rows
