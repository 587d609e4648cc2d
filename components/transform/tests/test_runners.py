"""The same records on every Beam runner."""

from pathlib import Path

import pytest

from components.transform.settings import TransformSettings
from components.transform.tests.conftest import (
    pictures,
    png,
    write_examples,
)
from components.transform.transform import transform
from darkroom.artifacts.transformed import read_transform_graph
from darkroom.records.shards import list_shards

pytestmark = pytest.mark.slow

RUNNERS = {
    "in memory": [],
    "processes": ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    "bundles": ["--runner=BundleBasedDirectRunner"],
    "Dask": ["--runner=DaskRunner"],
}


def test_every_runner_gives_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [png(picture) for _, picture in pictures("train")]
    examples = write_examples(tmp_path / "examples", [images[n : n + 14] for n in range(0, 70, 14)])
    shard_bytes = list_shards(str(examples), "train")[0].size
    monkeypatch.setattr("components.transform.pixels.TASK_BYTES", shard_bytes * 2)
    given = {}
    for name, options in RUNNERS.items():
        graph, records = tmp_path / name / "graph", tmp_path / name / "records"
        settings = TransformSettings(image_size=16, crop_margin=0.25, beam_options=tuple(options))
        transform(examples, settings, transform_graph=graph, transformed_examples=records)
        fitted = read_transform_graph(graph)
        files = {shard.name: shard.read_bytes() for shard in records.glob("*.tfrecord")}
        given[name] = files, fitted.pixel_mean, fitted.pixel_variance
    assert len([name for name in given["in memory"][0] if name.startswith("train")]) == 3
    files, mean, variance = given.pop("in memory")
    for others, other_mean, other_variance in given.values():
        assert others == files
        # Sums over parts in another order end in other last digits.
        assert other_mean == pytest.approx(mean, rel=1e-5)
        assert other_variance == pytest.approx(variance, rel=1e-5)
