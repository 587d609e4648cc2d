"""The data card's pictures, made by the worker that ends the work: no photograph comes here."""

import glob
import itertools
from pathlib import Path

from components.ingest.card.pictures import Pictures, card_pictures
from components.ingest.card.samples import sample
from components.ingest.settings import IngestSettings
from components.ingest.shards.listing import refused_file, refused_in_order
from components.ingest.shards.summary import Summary
from darkroom.artifacts.rejected import read_rejections
from darkroom.storage.files import list_files, read_all


def pictures_of_work(
    summary: Summary, records: str, work: str, settings: IngestSettings
) -> Pictures:
    """Makes the pictures out of what all workers left.

    Args:
        summary: What the run comes to.
        records: Path or URI of the folder of the shards and their index.
        work: Path or URI of the folder of the files of refused rows.
        settings: The ingest step's settings.
    """
    files = [file.location for file in list_files(f"{glob.escape(work)}/{refused_file('*')}")]
    # Paths are listed as URIs too.
    files = [file.removeprefix("file://") for file in refused_in_order(files)]
    with read_all(files) as paths:
        refused = itertools.chain.from_iterable(map(read_rejections, map(Path, paths)))
        samples = sample(refused)
    return card_pictures(records, summary.label_list(settings), summary.statistics, samples)
