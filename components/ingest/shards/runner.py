"""Runs the pipeline that builds the examples on a Beam runner, and gathers what it leaves."""

import glob
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.ingest.settings import IngestSettings
from components.ingest.shards.index import Index
from components.ingest.shards.listing import Listing, Source, read_listed, refused_file, side_file
from components.ingest.shards.summary import Summary
from components.ingest.sources.digits import DIGITS
from darkroom.beam.remote import (
    check_reachable,
    download,
    download_all,
    pipeline_here,
    pipeline_on,
    remote_workers,
    shared_folder,
)
from darkroom.storage.files import list_files
from darkroom.storage.paths import is_uri, mounted_uri

if TYPE_CHECKING:
    from components.ingest.shards.on_runner import LastLook


def build_on_runner(
    data: str,
    previous: Index,
    settings: IngestSettings,
    records: str,
    folder: Path,
    refused: Path,
    last_look: "LastLook",
) -> tuple[Source, Summary, Any]:
    """Writes the shards and the index of an examples artifact.

    Args:
        data: As the ingest step takes it.
        previous: The index of an earlier run, or `NOTHING`.
        settings: The ingest step's settings; `beam_options` name the runner.
        records: Path or URI of the folder of its records.
        folder: The artifact being written.
        refused: A folder here for the files of refused rows, and of what is no photograph.
        last_look: As `add_build` takes it.

    Returns:
        What the source says beside its rows, what the examples come to, and what the last look
        gave.

    Raises:
        SettingsError: Workers would not reach the data, or the runner does not take the options.
        StepError: The job fails.
    """
    from components.ingest.shards.on_runner import add_build, read_summary

    workers = remote_workers(settings.beam_options)
    with ExitStack() as stack:
        if workers is None:
            data = _absolute(data)
            further = tuple(map(_absolute, settings.further_data))
            settings = settings.model_copy(update={"further_data": further})
            work = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
            target, pipeline = records, pipeline_here(settings.beam_options)
        else:
            check_reachable([data, *settings.further_data], workers)
            shared = stack.enter_context(shared_folder(workers))
            work = f"{shared}/work"
            # A data root that is a path is one that all machines mount.
            is_reached = is_uri(records) or records != str(folder)
            target = records if is_reached else mounted_uri(folder) or f"{shared}/examples"
            pipeline = pipeline_on(workers)
        listing = Listing(data, previous, settings, workers)
        with pipeline as graph:
            add_build(graph, listing, settings, target, work, last_look)
        source, (summary, found) = read_listed(work), read_summary(work)
        for pattern in (refused_file("*"), side_file("*")):
            files = list_files(f"{glob.escape(work)}/{pattern}")
            download([file.location for file in files], refused)
        if workers is not None and target == f"{shared}/examples":
            download_all(target, folder)
    return source, summary, found


def _absolute(data: str) -> str:
    return data if data == DIGITS or is_uri(data) else str(Path(data).absolute())
