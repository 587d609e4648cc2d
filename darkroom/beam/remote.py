"""Work on a Beam runner whose workers are on other machines, and the folder shared with them."""

import contextlib
import dataclasses
import glob
import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from darkroom.beam.options import (
    beam_arguments,
    option_values,
    remote_runner,
    runner_name,
    worker_message,
)
from darkroom.errors import SettingsError, StepError
from darkroom.storage import files as storage
from darkroom.storage.files import cause, clear_errors
from darkroom.storage.folders import delete_folder
from darkroom.storage.paths import is_uri, mounted_uri

_EXAMPLE = "gs://my-bucket/tmp"
_JOB_SERVER = "job server jar"
_OURS = (
    # Beam would run `pip freeze`, and say in many lines that our environments have no pip.
    "--experiments=disable_logging_submission_environment",
    # All that the workers call is in modules of their image; this process's own state is not.
    "--no_save_main_session",
)


@dataclasses.dataclass(frozen=True)
class RemoteWorkers:
    """Workers on other machines.

    Attributes:
        runner: The runner's name, for people.
        arguments: Beam's own arguments.
        staging_location: Path or URI of a folder for temporary files that all of them reach.
    """

    runner: str
    arguments: tuple[str, ...]
    staging_location: str


def with_staging_location(
    artifact: Path, options: Sequence[str], data_root: str | None = None
) -> tuple[str, ...]:
    """Options for Beam with the folder that remote workers share with the step.

    Args:
        artifact: An output of the step. Where it is in a bucket, and the options name no
            `--temp_location`, that is beside it.
        options: Options in Beam's spelling.
        data_root: Where the step's records go, if not into the artifact; it comes first.

    Returns:
        The options; as they are where the workers are on this machine.

    Raises:
        SettingsError: Remote workers would not reach the step's files, or hold its code.
    """
    runner = remote_runner(options)
    place = data_root or mounted_uri(artifact.absolute().parent)
    if runner is not None and place is not None and "temp_location" not in option_values(options):
        options = [*options, f"--temp_location={place}"]
    remote_workers(options)
    return tuple(options)


def remote_workers(options: Sequence[str]) -> RemoteWorkers | None:
    """The workers that options for Beam ask for, if they are on other machines.

    Args:
        options: Options in Beam's spelling.

    Returns:
        The workers; None where they are on this machine.

    Raises:
        SettingsError: They would not reach the step's files, or hold its code.
    """
    runner = remote_runner(options)
    if runner is None:
        return None
    values = option_values(options)
    place = values.get("temp_location", "")
    if not place:
        raise SettingsError(
            f"{runner}: its workers do not reach the folders of this machine; add to beam_options "
            f"--temp_location=FOLDER, one that they reach, such as {_EXAMPLE}"
        )
    if runner == "DataflowRunner":
        if not place.startswith("gs://"):
            raise SettingsError(
                f"{runner}: --temp_location={place} is in no bucket; expected such as {_EXAMPLE}"
            )
        if not values.get("sdk_container_image"):
            raise SettingsError(
                f"{runner}: its workers need the step's code; add to beam_options "
                "--sdk_container_image=IMAGE, the step's worker image"
            )
    arguments = (*beam_arguments(options), *_OURS)
    return RemoteWorkers(runner, arguments, place.rstrip("/"))


@contextmanager
def shared_folder(workers: RemoteWorkers) -> Iterator[str]:
    """Gives a folder that the workers and the step share, and deletes it in the end.

    Yields:
        Its path or URI; no file is in it.
    """
    folder = f"{workers.staging_location}/darkroom-{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        # What is left behind is temporary; an error here would hide the first one.
        with contextlib.suppress(Exception):
            delete_folder(folder)


def upload(files: Sequence[Path], folder: str) -> None:
    """Copies files from here into a folder anywhere, under their own names.

    Raises:
        StepError: It cannot be written.
    """
    with clear_errors(f"cannot write {folder}", StepError):
        storage.upload(files, folder)


class _Task(Protocol):
    """Work on some shards; a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def shards(self) -> tuple[str, ...]:
        """Paths or URIs."""


T = TypeVar("T", bound=_Task)


def with_reachable_shards(tasks: Sequence[T], folder: str) -> list[T]:
    """Tasks with shards that remote workers can open: what they would not reach is copied.

    Args:
        tasks: The tasks.
        folder: Path or URI of a folder that workers reach, for copies.

    Raises:
        StepError: The folder cannot be written.
    """
    every = [shard for task in tasks for shard in task.shards]
    uris = {each: each if is_uri(each) else mounted_uri(each) for each in every}
    upload([Path(each) for each, uri in uris.items() if uri is None], folder)
    reached = {each: uri or f"{folder}/{Path(each).name}" for each, uri in uris.items()}
    return [
        dataclasses.replace(task, shards=tuple(reached[shard] for shard in task.shards))
        for task in tasks
    ]


def download(files: Sequence[str], folder: Path) -> list[Path]:
    """Copies files from anywhere into a folder here, under their own names.

    Returns:
        Their paths.

    Raises:
        StepError: One of them cannot be read.
    """
    source = files[0].rpartition("/")[0] if files else ""
    with clear_errors(f"cannot read {source}", StepError):
        return storage.download(files, folder)


def download_all(source: str, folder: Path) -> list[Path]:
    """Copies all files of a folder anywhere, but not of those in it, into one here.

    Raises:
        StepError: They cannot be read.
    """
    with clear_errors(f"cannot read {source}", StepError):
        return download(
            [file.location for file in storage.list_files(f"{glob.escape(source)}/*")], folder
        )


@contextmanager
def pipeline_here(options: Sequence[str]) -> Iterator[Any]:
    """Gives an empty Beam pipeline, and runs it to its end by workers on this machine.

    Args:
        options: Options in Beam's spelling.

    Raises:
        SettingsError: The runner does not take the options.
        StepError: What a worker raised for people.
    """
    # Here the job itself may run within the call that starts it: only a lost cluster is a refusal.
    arguments, runner = beam_arguments(options), runner_name(options)
    with _pipeline(arguments, runner, "beam_options", OSError) as pipeline:
        yield pipeline


@contextmanager
def _pipeline(
    arguments: Sequence[str], runner: str, named: str, refusal: type[Exception]
) -> Iterator[Any]:
    """Gives an empty pipeline, and runs it to its end.

    Args:
        arguments: Beam's own.
        runner: The runner's short name.
        named: What errors about the options begin with.
        refusal: What it raises when the runner does not take the job.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(arguments)))
    except (ValueError, ImportError) as error:
        raise SettingsError(f"{named}: {cause(error)}") from error
    yield pipeline
    # Workers in this process log what they raise with all its places; here it is raised anyway.
    logging.getLogger("apache_beam.runners").setLevel(logging.CRITICAL)
    try:
        with _started(pipeline, runner, refusal) as job:
            job.wait_until_finish()
    except Exception as error:
        message = worker_message(error)
        if message is None:
            raise
        raise StepError(message) from error


@contextmanager
def _started(pipeline: Any, runner: str, refusal: type[Exception]) -> Iterator[Any]:
    """Gives the job of a pipeline, which goes when the step does.

    Raises:
        SettingsError: Packages of the runner are not installed.
        StepError: The runner does not take the job.
    """
    from apache_beam.runners.runner import PipelineState

    try:
        job = pipeline.run()
    except RuntimeError as error:
        if _JOB_SERVER not in str(error):
            raise
        option = f"--{runner.removesuffix('Runner').lower()}_job_server_jar"
        raise StepError(
            f"{runner} without a master starts its own job server, whose file cannot be fetched "
            f"here: name a cluster, or {option}=FILE"
        ) from error
    except ImportError as error:
        fix = ": uv sync --group dask" if runner == "DaskRunner" else f": {cause(error)}"
        raise SettingsError(f"{runner} needs packages that are not installed{fix}") from error
    except refusal as error:
        if worker_message(error) is not None:
            raise
        raise StepError(f"cannot run on {runner}: {cause(error)}") from error
    try:
        yield job
    finally:
        with contextlib.suppress(Exception):
            if not PipelineState.is_terminal(job.state):
                job.cancel()
        if runner == "DaskRunner":
            with contextlib.suppress(Exception):
                job.client.close()


@contextmanager
def pipeline_on(workers: RemoteWorkers) -> Iterator[Any]:
    """Gives an empty Beam pipeline, and runs it to its end; the job goes when the step does.

    Raises:
        SettingsError: The runner does not take the options.
        StepError: The runner does not take the job, or the job fails.
    """
    with _pipeline(workers.arguments, workers.runner, workers.runner, Exception) as pipeline:
        yield pipeline


def check_reachable(locations: Sequence[str | None], workers: RemoteWorkers) -> None:
    """Checks that remote workers may read what a step is to read.

    Args:
        locations: Paths and URIs of the photographs.
        workers: The workers.

    Raises:
        SettingsError: A path is of this machine. Where the shared folder is a path too, others
            are taken to be on a file system that all machines mount.
    """
    if not is_uri(workers.staging_location):
        return
    for location in locations:
        if location is not None and not is_uri(location):
            raise SettingsError(
                f"{workers.runner}: its workers do not reach {location}, a file of this machine; "
                "give data as a URI, such as gs://my-bucket/flowers"
            )
