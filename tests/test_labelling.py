"""Labels cross rooms: what the monitor writes, ingest and `darkroom labels` read."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from components.ingest.settings import IngestSettings
from components.ingest.sources.label_table import write_labels as write_folder_labels
from components.ingest.sources.source import read_tables
from components.monitor.labelling.agreement import agree, write_labels
from components.monitor.labelling.choice import choose
from components.monitor.labelling.export import read_export
from components.monitor.labelling.pool import Pool, read_pool
from components.monitor.labelling.pseudo_labels import select_pseudo_labels, write_pseudo_labels
from components.monitor.labelling.settings import LabellingSettings, ReasonShares
from components.monitor.labelling.tasks import write_tasks
from darkroom.artifacts.examples import PSEUDO_LABELLED
from darkroom.label_studio import CONTROL

LABELS = ("daisy", "rose")
SETTINGS = LabellingSettings(budget=4, shares=ReasonShares(mislabelled=0))


def pool_in(folder: Path, count: int = 12) -> Pool:
    """Predictions of a folder's photographs, as batch prediction writes them."""
    generator = np.random.default_rng(0)
    names = [f"{LABELS[place % 2]}/{place}.jpg" for place in range(count)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"a photograph")
    rose = generator.uniform(0, 1, count)
    columns = {
        "image": names,
        "image_id": [f"{place:064x}" for place in range(count)],
        "probabilities": pa.array(
            np.stack([1 - rose, rose], axis=1).tolist(), pa.list_(pa.float32(), 2)
        ),
        "embedding": pa.array(
            generator.normal(size=(count, 4)).tolist(), pa.list_(pa.float32(), 4)
        ),
    }
    return read_pool(pa.table(columns), LABELS, folder=f"{folder}/")


def test_what_is_labelled_in_the_tool_corrects_the_folders_labels(tmp_path: Path) -> None:
    folder = tmp_path / "flowers"
    pool = pool_in(folder)
    tasks = tmp_path / "tasks.json"
    chosen = choose(pool, SETTINGS)
    write_tasks(tasks, tmp_path / "interface.xml", pool, chosen, "flowers 1", str(tmp_path))
    labelled = json.loads(tasks.read_text())
    for task in labelled:  # somebody takes all of them for roses
        result = {"from_name": CONTROL, "value": {"choices": ["rose"]}}
        task["annotations"] = [{"completed_by": 1, "result": [result]}]
    (tmp_path / "export.json").write_text(json.dumps(labelled))
    agreed = agree(read_export(str(tmp_path / "export.json")).annotations, LABELS)
    corrections, table = tmp_path / "corrections.csv", tmp_path / "all.csv"
    assert write_labels(corrections, agreed.labelled, "image") == 4
    counts = write_folder_labels(str(folder), table, corrections=corrections)
    daisies = {
        pool.images[choice.place] for choice in chosen if "/daisy/" in pool.images[choice.place]
    }
    assert counts["corrected"] == len(daisies) > 0
    rows = read_tables([str(table)], IngestSettings()).rows
    assert sum(row.label == "rose" for row in rows) == 6 + len(daisies)


def test_pseudo_labels_are_trained_on_only_and_are_marked_in_the_examples(tmp_path: Path) -> None:
    pool = pool_in(tmp_path / "flowers")
    selected = select_pseudo_labels(pool, 0.6, per_label=10, kept_out=[pool.image_ids[0]])
    pseudo, own = tmp_path / "pseudo.csv", tmp_path / "own.csv"
    write_pseudo_labels(pseudo, pool, selected)
    with own.open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), (pool.images[0], "daisy")])
    table = read_tables([str(own), str(pseudo)], IngestSettings())
    assert not table.rejections
    marked = [row for row in table.rows if row.columns.get(PSEUDO_LABELLED)]
    assert len(marked) == len(selected) > 2
    assert {row.split for row in marked} == {"train"}
    assert table.columns[PSEUDO_LABELLED] == "int"
    assert [row.image for row in table.rows if row not in marked] == [pool.images[0]]
