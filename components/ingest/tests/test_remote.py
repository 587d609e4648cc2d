"""Workers on other machines: what they share with the step is a bucket."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem

from components.ingest.ingest import ingest
from components.ingest.settings import IngestSettings
from components.ingest.tests.conftest import Ingested
from darkroom.artifacts.examples import read_examples
from darkroom.beam.remote import remote_workers, with_staging_location
from darkroom.errors import SettingsError, StepError
from darkroom.tests.disk_bucket import file_of
from darkroom.tests.remote_workers import STAGING_LOCATION, start_bucket

pytestmark = pytest.mark.slow

DATA = "disk://bucket/photographs"


@pytest.fixture
def options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: Callable[[int], Path]
) -> list[str]:
    options = start_bucket(tmp_path / "store", monkeypatch)
    shutil.copytree(photographs(30), file_of(DATA))
    return options


def test_remote_workers_write_the_same_examples(
    options: list[str], run_ingest: Callable[..., Ingested]
) -> None:
    file_of(f"{DATA}/rose/broken.jpg").write_bytes(b"no image")
    here = run_ingest(DATA, "here", shard_bytes=1_000_000)
    elsewhere = run_ingest(DATA, "elsewhere", shard_bytes=1_000_000, beam_options=options)
    assert len(here.all_records) > 50
    assert elsewhere.records == here.records
    assert elsewhere.rejected == here.rejected
    assert elsewhere.examples.manifest["digest"] == here.examples.manifest["digest"]
    assert not list(file_of(STAGING_LOCATION).iterdir())


def test_no_photograph_passes_the_process_that_starts_the_work(
    options: list[str],
    run_ingest: Callable[..., Ingested],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What it names in the bucket is noted; the data card has its pictures all the same."""
    shutil.copyfile(file_of(f"{DATA}/rose/0.jpg"), file_of(f"{DATA}/rose/copy.jpg"))
    here = run_ingest(DATA, "here")
    seen: list[str] = []
    original = DirFileSystem._join

    def noted(self: DirFileSystem, path: Any) -> Any:
        seen.extend([path] if isinstance(path, str) else path)
        return original(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(DirFileSystem, "_join", noted)
        settings = IngestSettings(
            beam_options=tuple(options), data_root="disk://bucket/records", max_rejected=0.5
        )
        names = ("examples", "rejected", "statistics")
        ingest(DATA, settings, **{name: tmp_path / "remote" / name for name in names})
    remote = read_examples(tmp_path / "remote" / "examples")
    assert seen
    assert not [path for path in seen if path.endswith((".tfrecord", ".jpg"))]
    assert remote.manifest["digest"] == here.examples.manifest["digest"]
    pictures = [
        (tmp_path / name / "statistics" / "card.html").read_text().count("<img")
        for name in ("here", "remote")
    ]
    assert pictures[0] == pictures[1] > 4


def test_a_bucket_that_cannot_be_written_is_one_clear_line(
    options: list[str], run_ingest: Callable[..., Ingested], tmp_path: Path
) -> None:
    (tmp_path / "store" / "full").touch()
    given = [*options, "--temp_location=disk://full/tmp"]
    with pytest.raises(StepError, match=r"^cannot write disk://full/tmp/darkroom-.*: Not a direct"):
        run_ingest(DATA, beam_options=given)
    assert not list(tmp_path.glob("out/*"))


def test_photographs_of_this_machine_are_refused(
    options: list[str], run_ingest: Callable[..., Ingested], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"do not reach .*photographs, .* give data as a"):
        run_ingest(tmp_path / "photographs", beam_options=options)


def test_a_runner_without_a_shared_folder_is_refused_before_anything_is_read(
    run_ingest: Callable[..., Ingested],
) -> None:
    options = ["--runner=FlinkRunner", "--flink_master=flink:8081"]
    with pytest.raises(SettingsError, match=r"^FlinkRunner: its workers do not reach .*temp_loc"):
        run_ingest("no/such/data", beam_options=options)


def test_dataflow_takes_the_job_with_our_image_for_its_workers() -> None:
    """As far as goes without a network: Beam makes the job, and does not send it."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

    from components.ingest.card.of_work import pictures_of_work
    from components.ingest.shards.listing import Listing
    from components.ingest.shards.on_runner import add_build

    image = "reg.example/darkroom-ingest-worker:0.1.0"
    given = ["--runner", "DataflowRunner", "--project=my-project", "--region", "europe-west4"]
    given += [f"--sdk_container_image={image}", "--dry_run=True", "--no_auth"]
    workers = remote_workers(with_staging_location(Path("/gcs/bucket/run/examples"), given))
    assert workers is not None
    pipeline = beam.Pipeline(options=PipelineOptions(list(workers.arguments)))
    listing = Listing("gs://bucket/photographs", (), IngestSettings(), workers)
    add_build(
        pipeline,
        listing,
        IngestSettings(),
        "gs://bucket/run/examples",
        "gs://bucket/tmp",
        pictures_of_work,
    )
    job = pipeline.run().job
    google = job.options.view_as(GoogleCloudOptions)
    assert (google.project, google.region) == ("my-project", "europe-west4")
    # Beam adds a folder of the job's own to each.
    for location in (google.temp_location, google.staging_location):
        assert location.startswith("gs://bucket/run/beamapp-")
    components = job.proto_pipeline.components
    (environment,) = components.environments.values()
    assert image.encode() in environment.payload
    assert not environment.dependencies  # all is in the image
    assert any("Write shards" in t.unique_name for t in components.transforms.values())
