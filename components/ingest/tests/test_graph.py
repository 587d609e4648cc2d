"""The graph that remote runners are given, built and checked without one of them."""

from pathlib import Path

import pytest

from components.ingest.settings import IngestSettings
from darkroom.beam.remote import remote_workers

pytestmark = pytest.mark.slow

PLACE = "--temp_location=gs://bucket/tmp"
RUNNERS = {
    "DataflowRunner": [
        "--sdk_container_image=image",
        "--project=my-project",
        "--region=europe-west4",
        "--max_num_workers=20",
    ],
    "FlinkRunner": ["--flink_master=flink:8081", "--environment_type=DOCKER"],
    "SparkRunner": ["--spark_master_url=spark://spark:7077", "--environment_config=image"],
    "PortableRunner": ["--job_endpoint=jobs:8099", "--environment_type=EXTERNAL"],
    "DaskRunner": ["--dask_client_address=tcp://scheduler:8786"],
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_gets_a_graph_with_one_end(runner: str, tmp_path: Path) -> None:
    """Whatever a runner computes of it, it computes all: the summary is the only end."""
    import apache_beam as beam
    import apache_beam.runners.dask.dask_runner  # its options are known once it is imported
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.ingest.card.of_work import pictures_of_work
    from components.ingest.shards.listing import Listing
    from components.ingest.shards.on_runner import add_build

    options = (f"--runner={runner}", PLACE, *RUNNERS[runner])
    settings = IngestSettings(beam_options=options)
    workers = remote_workers(options)
    assert workers is not None
    parsed = PipelineOptions(list(workers.arguments))
    known = parsed.get_all_options(drop_default=True)
    for option in RUNNERS[runner]:
        # Dask's are kept under other names.
        assert option.partition("=")[2] in map(str, known.values())
    pipeline = beam.Pipeline(options=PipelineOptions())
    listing = Listing("gs://bucket/photographs", (), settings, workers)
    add_build(
        pipeline,
        listing,
        settings,
        "gs://bucket/examples",
        workers.staging_location,
        pictures_of_work,
    )
    proto = pipeline.to_runner_api()  # pickles all that workers are to call
    primitive = [t for t in proto.components.transforms.values() if not t.subtransforms]
    read = {each for transform in primitive for each in transform.inputs.values()}
    ends = [t.unique_name for t in primitive if not read & set(t.outputs.values())]
    assert [name.partition("/")[0] for name in ends] == ["Write the summary"]
