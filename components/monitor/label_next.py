"""What to label next: the photographs worth a person's time, as files for the labelling tool."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from components.monitor.labelling.choice import Choice, Embeddings, choose
from components.monitor.labelling.pool import Pool, read_pool
from components.monitor.labelling.tasks import write_tasks
from components.monitor.labelling.worksheet import write_worksheet
from components.monitor.settings import MonitorSettings
from components.monitor.windows.reference import version_references
from darkroom.artifacts.batch_predictions import (
    EMBEDDING,
    IMAGE,
    IMAGE_ID,
    PROBABILITIES,
    BatchPredictions,
    read_batch_predictions,
)
from darkroom.errors import SettingsError
from darkroom.labels import LabelRow, read_labels
from darkroom.storage.folders import read_folders
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.monitor")

WORKSHEET, TASKS, INTERFACE = "worksheet.csv", "tasks.json", "interface.xml"


class ToLabel(NamedTuple):
    """What was written.

    Attributes:
        files: The files.
        reasons: Photographs by the reason why they are worth a label.
        chosen_from: How many photographs there were.
    """

    files: list[Path]
    reasons: dict[str, int]
    chosen_from: int


def label_next(settings: MonitorSettings, folder: Path) -> ToLabel:
    """Chooses what to label next, of the batch predictions that are watched.

    Args:
        settings: What is watched, and how many photographs are wanted for which reasons.
        folder: Where to write `worksheet.csv`, and for Label Studio `tasks.json` and
            `interface.xml`. These are left out where photographs are files of this machine, and
            `labelling.document_root` does not say where the tool finds them.

    Raises:
        SettingsError: There are no predictions, or they have no embeddings.
        StepError: Something cannot be read.
    """
    with read_folders(settings.predictions) as folders:
        batches = _of_one_model(folders)
        pool = _pool(batches, settings)
    choices = choose(pool, settings.labelling, _known_embeddings(settings, batches[-1]))
    folder.mkdir(parents=True, exist_ok=True)
    write_worksheet(folder / WORKSHEET, pool, choices)
    written = [folder / WORKSHEET]
    root = settings.labelling.document_root
    if root is None and not all(is_uri(pool.images[choice.place]) for choice in choices):
        _log.warning(
            "no %s for Label Studio: photographs are files of this machine, set "
            "monitor.labelling.document_root to the folder that it shows them from",
            TASKS,
        )
    else:
        newest = batches[-1]
        version = newest.model_digest[:12] if newest.model_version is None else newest.model_version
        name = f"{settings.model or 'version'} {version}"
        write_tasks(folder / TASKS, folder / INTERFACE, pool, choices, name, root)
        written += [folder / TASKS, folder / INTERFACE]
    return ToLabel(written, _reasons(choices), len(pool.images))


def _of_one_model(folders: Sequence[str]) -> list[BatchPredictions]:
    """The predictions of the model that made the last ones."""
    if not folders:
        raise SettingsError(
            "nothing to choose from: set monitor.predictions to predictions with embeddings"
        )
    batches = [read_batch_predictions(Path(folder)) for folder in folders]
    for batch in batches:
        if batch.format != "parquet":
            raise SettingsError(f"{batch.folder} is {batch.format}: predict with format: parquet")
    same = [batch for batch in batches if batch.model_digest == batches[-1].model_digest]
    if len(same) < len(batches):
        _log.info(
            "%d of %d predictions are by another model", len(batches) - len(same), len(batches)
        )
    return same


def _pool(batches: Sequence[BatchPredictions], settings: MonitorSettings) -> Pool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for batch in batches:
        if any(EMBEDDING not in pq.read_schema(file).names for file in batch.files):
            raise SettingsError(f"{batch.folder} has no embeddings: predict with embedding: true")
    columns = [IMAGE, IMAGE_ID, PROBABILITIES, EMBEDDING]
    tables = [batch.table(columns) for batch in batches]
    return read_pool(pa.concat_tables(tables), batches[-1].labels, _known(settings))


def _known_embeddings(settings: MonitorSettings, batch: BatchPredictions) -> Embeddings | None:
    """Embeddings of the photographs that the version was evaluated on, where it carries some."""
    if settings.versions is None or batch.model_version is None:
        return None
    reference = version_references(settings.versions, ()).get(str(batch.model_version))
    return None if reference is None or reference.embedded is None else reference.embedded.rows


def _known(settings: MonitorSettings) -> dict[str, set[str]]:
    """The labels that are known, by `image_id`; of several the newest row's."""
    newest: dict[str, tuple[float, str]] = {}
    for table in settings.labels:
        try:
            for row in read_labels(table):
                if isinstance(row, LabelRow) and row.by == IMAGE_ID:
                    said = (row.labelled_at or 0.0, row.label)
                    newest[row.name] = max(newest.get(row.name, said), said)
        except SettingsError as error:
            _log.warning("%s", error)
    return {image_id: {label} for image_id, (_, label) in newest.items()}


def _reasons(choices: Sequence[Choice]) -> dict[str, int]:
    return dict(Counter(choice.reason.value for choice in choices))
