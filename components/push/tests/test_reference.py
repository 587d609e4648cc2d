"""What a version is held against once it serves travels with it, covered by its digests."""

import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.push.push import push
from components.push.reference import write_reference
from components.push.settings import PushSettings
from components.push.tests.conftest import (
    LABELS,
    Candidate,
    save_evaluation,
    save_examples,
    save_model,
)
from darkroom.artifacts.evaluation import KIND, read_evaluation
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import folder_digest, write_manifest
from darkroom.artifacts.predictions import first_predictions, prediction_schema
from darkroom.artifacts.proof import changed_files
from darkroom.artifacts.reference import read_embeddings, read_version_reference
from darkroom.artifacts.statistics import Distributions, Statistics
from darkroom.errors import StepError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow


def pushed(candidate: Candidate, folder: Path, **settings: object) -> Path:
    given = {"destination": str(folder / "served"), "try_server": False, **settings}
    inputs = candidate.inputs
    return Path(push(*inputs, PushSettings.model_validate(given), pushed=folder / "pushed"))


def test_a_version_has_answers_statistics_and_embeddings(
    candidate: Candidate, tmp_path: Path
) -> None:
    version = pushed(candidate, tmp_path)
    found = read_version_reference(str(version))
    assert found is not None
    assert found.labels == ("dark", "light")
    ids = found.answers["image_id"].to_pylist()
    assert ids == sorted(f"id-{number}" for number in range(20))
    assert found.answers.column_names == [
        *("split", "image_id", "label", "predicted_label", "probabilities")
    ]
    assert found.statistics.overall.formats == {"PNG": 20}
    assert found.embeddings is not None
    assert (found.embeddings.count, found.embeddings.size) == (20, 48)
    greys = [12.0 * int(image_id.removeprefix("id-")) for image_id in ids]
    expected = np.repeat(greys, 48).reshape(20, 48)
    assert read_embeddings(str(version)).tolist() == expected.tolist()
    assert changed_files(version) == []
    answers = version / "reference" / "answers.parquet"
    answers.write_bytes(answers.read_bytes() + b"\0")
    assert changed_files(version) == ["reference/answers.parquet"]


@pytest.mark.parametrize("of_production", [49, 60])
def test_it_is_held_against_photographs_of_production(tmp_path: Path, of_production: int) -> None:
    made = Candidate(tmp_path / "examples", tmp_path / "model", tmp_path / "evaluation")
    made.examples.mkdir()
    rows = []
    with (made.examples / "test-00000-of-00001.tfrecord").open("wb") as file:
        for number in range(100):
            grey = np.full((8, 8), number, np.uint8)
            image = io.BytesIO()
            Image.fromarray(grey).save(image, "PNG" if number % 2 else "BMP")
            image_id, source = f"id-{number:03d}", "monitored" if number < of_production else None
            record: dict[str, Any] = {
                "image_bytes": image.getvalue(),
                "image_id": image_id,
                "label": "dark",
            }
            measures = {"brightness": float(number), "contrast": 0.0, "sharpness": 0.0}
            write_record(file, serialized_example({**record, **measures, "height": 8, "width": 8}))
            rows.append(
                {
                    "split": "test",
                    "image_id": image_id,
                    "probabilities": [0.5, 0.5],
                    "slices": {"source": source},
                }
            )
    counts = {"train": 0, "valid": 0, "test": 100}
    write_manifest(made.examples, "examples", {"labels": LABELS, "counts": counts, "columns": {}})
    save_model(made.model)
    made.evaluation.mkdir()
    content = {
        "labels": LABELS,
        "count": 100,
        "metrics": {},
        "blessed": True,
        "reasons": [],
        "settings": {},
    }
    write_manifest(made.evaluation, KIND, {**content, "model_digest": folder_digest(made.model)})
    schema = prediction_schema(2, {"source": "bytes"}, multi_label=False, champion=False)
    pq.write_table(pa.Table.from_pylist(rows, schema), made.evaluation / "predictions-0.parquet")
    version = tmp_path / "1"
    version.mkdir()
    all_photographs = Statistics(overall=Distributions(Counter(PNG=1000)))
    write_reference(
        version,
        {},
        read_evaluation(made.evaluation),
        read_examples(made.examples),
        all_photographs,
        embedded=False,
    )
    found = read_version_reference(str(version))
    assert found is not None
    if of_production < 50:
        assert len(found.answers) == 100
        assert found.statistics.overall.formats == {"PNG": 1000}
        return
    assert found.answers["image_id"].to_pylist() == [f"id-{number:03d}" for number in range(60)]
    assert found.statistics.overall.formats == {"PNG": 30, "BMP": 30}
    assert found.statistics.overall.histograms["brightness"][:5] == [16, 16, 16, 12, 0]


def test_embeddings_stay_where_photographs_may_not_travel(
    candidate: Candidate, tmp_path: Path
) -> None:
    version = pushed(candidate, tmp_path, proof="synthetic")
    found = read_version_reference(str(version))
    assert found is not None
    assert found.embeddings is None
    assert len(found.answers) == 20
    assert not (version / "reference" / "embeddings.npy").exists()


def test_an_archive_has_it_too(candidate: Candidate, tmp_path: Path) -> None:
    archive = pushed(candidate, tmp_path, destination=f"archive://{tmp_path}/flowers")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    assert read_version_reference(str(tmp_path / "flowers" / "1")) is not None
    assert changed_files(tmp_path / "flowers" / "1") == []


def test_an_evaluation_of_other_photographs_is_refused(tmp_path: Path) -> None:
    made = Candidate(tmp_path / "examples", tmp_path / "model", tmp_path / "evaluation")
    save_examples(made.examples)
    save_model(made.model)
    save_evaluation(made.evaluation, made.model, made.examples)
    row = {"split": "valid", "image_id": "id-0 of others", "probabilities": [0.5, 0.5]}
    schema = prediction_schema(2, {}, multi_label=False, champion=False)
    table = pa.Table.from_pylist([row], schema)
    pq.write_table(table, made.evaluation / "predictions-00001-of-00001.parquet")
    with pytest.raises(StepError, match="has no evaluated photograph id-0 of others"):
        pushed(made, tmp_path)


def test_a_damaged_reference_is_one_line(candidate: Candidate, tmp_path: Path) -> None:
    version = pushed(candidate, tmp_path)
    for name in ("embeddings.npy", "answers.parquet"):
        (version / "reference" / name).write_bytes(b"nothing")
    with pytest.raises(StepError, match=r"embeddings\.npy is damaged"):
        read_embeddings(str(version))
    with pytest.raises(StepError, match=r"reference is damaged"):
        read_version_reference(str(version))


def test_the_first_by_identity_are_taken_of_all_files(tmp_path: Path) -> None:
    schema = prediction_schema(2, {}, multi_label=False, champion=False)
    for part in range(3):
        rows = [
            {
                "split": "valid" if number % 2 else "test",
                "image_id": f"{number:02d}",
                "image_path": "secret.jpg",
                "probabilities": [0.25, 0.75],
            }
            for number in range(part, 30, 3)
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / f"predictions-{part}.parquet")
    found = first_predictions(tmp_path, 7)
    assert found["image_id"].to_pylist() == [f"{number:02d}" for number in range(7)]
    assert found["split"].to_pylist() == ["test", "valid"] * 3 + ["test"]
    assert "image_path" not in found.column_names
    assert len(first_predictions(tmp_path, 100)) == 30
