"""Two models side by side, on the same test photographs."""

import datetime
import json
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.artifacts import examples as examples_format
from darkroom.artifacts import model as model_format
from darkroom.artifacts.evaluation import VERDICT_FILE, read_evaluation
from darkroom.artifacts.manifest import MANIFEST, read_manifest
from darkroom.artifacts.model_repository import serving_version
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.log import configure_logging
from pipeline.targets.local.run_folder import REPORT_FILE, RUN_FILE


class _Side(NamedTuple):
    """A model, and where it is from a run, what it was evaluated on and how."""

    model: Path
    examples: Path | None
    settings: dict[str, Any]


def compare_models(
    first: str, second: str, data: str | None, out: Path
) -> tuple[dict[str, Any], Path]:
    """Evaluates a second model beside a first one, as a run's evaluate step does with a champion.

    Args:
        first: A run's id or folder, a model's folder, or where pushed models go.
        second: The same of the model that is compared with it.
        data: Photographs or an examples artifact to test on; None: the test split of the second's
            run, or else of the first's.
        out: Folder of runs; what is made goes into a folder of its own there.

    Returns:
        The comparison, as `verdict.json` holds it, and the report.

    Raises:
        SettingsError: One is no model, or there is nothing to test on.
        StepError: They cannot be compared.
    """
    from components.evaluate.evaluate import measure
    from components.evaluate.settings import EvaluateSettings
    from darkroom.settings import validate_settings

    configure_logging()
    champion, challenger = _side(first, out), _side(second, out)
    started = datetime.datetime.now(datetime.UTC)
    folder = out.absolute() / f"compare-{started:%Y%m%d-%H%M%S}"
    examples = _examples(data, (challenger, champion), folder)
    settings = challenger.settings or champion.settings
    # What is asked is how they compare, and not whether one may serve.
    settings |= {"thresholds": {}, "fairness": {}, "baseline": str(champion.model)}
    report = folder / REPORT_FILE
    measure(
        examples,
        challenger.model,
        validate_settings(EvaluateSettings, settings, "evaluate"),
        evaluation=folder / "evaluation",
        report=report,
    )
    verdict = json.loads((folder / "evaluation" / VERDICT_FILE).read_text(encoding="utf-8"))
    comparison: dict[str, Any] = verdict["comparison"]
    if comparison["problem"]:
        raise StepError(f"{first} cannot be scored: {comparison['problem']}")
    return comparison, report


def _side(name: str, out: Path) -> _Side:
    for folder in (Path(name), out / name):
        if (folder / RUN_FILE).is_file():
            return _of_run(folder)
    if (Path(name) / MANIFEST).is_file():
        read_manifest(Path(name), model_format.KIND)
        return _Side(Path(name).absolute(), None, {})
    if (version := serving_version(Path(name))) is not None:
        return _Side(version.folder.absolute(), None, {})
    raise SettingsError(
        f"{name} is no run in {out}, no model and no folder of pushed models; see: darkroom runs"
    )


def _of_run(folder: Path) -> _Side:
    run = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    made = {name: Path(path) for name, path in run["artifacts"].items()}
    if "model" not in made:
        raise SettingsError(f"run {run['run_id']} made no model: it {run['status']}")
    settings = {}
    if "evaluation" in made:
        settings = dict(read_evaluation(made["evaluation"]).manifest["settings"])
    return _Side(made["model"], made.get("examples"), settings)


def _examples(data: str | None, sides: tuple[_Side, _Side], folder: Path) -> Path:
    if data is None:
        found = next((side.examples for side in sides if side.examples is not None), None)
        if found is None:
            raise SettingsError("neither is a run: give photographs to test on with --data PATH")
        return found
    if (Path(data) / MANIFEST).is_file():
        read_manifest(Path(data), examples_format.KIND)
        return Path(data)
    from components.ingest.ingest import ingest
    from components.ingest.settings import IngestSettings, SplitRatios

    outputs = {name: folder / name for name in ("examples", "rejected", "statistics")}
    ingest(data, IngestSettings(split=SplitRatios(train=0, valid=0, test=1)), **outputs)
    return outputs["examples"]
