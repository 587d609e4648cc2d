"""The files of a shard: its predictions, its refused rows, and the mark that both are whole."""

from components.predict.formats import WRITERS
from components.predict.predictions import Outcome
from components.predict.settings import PredictSettings
from components.predict.tile_maps import tile_maps
from components.predict.work import Shard, Work
from darkroom.artifacts.batch_predictions import PREDICTIONS, TILE_MAPS
from darkroom.errors import StepError
from darkroom.storage.atomic import atomic_file, os_reason
from darkroom.storage.files import written_to


def write_shard(outcome: Outcome, shard: Shard, work: Work, settings: PredictSettings) -> None:
    """Writes what became of a shard. Written again, it has the same files.

    Raises:
        StepError: A file cannot be written.
    """
    writer = WRITERS[settings.format]
    table = outcome.table
    try:
        if table is not None:
            # A table may have columns of the same names, which are anything.
            maps = tile_maps(table) if shard.records else None
            with written_to(work.output) as local:
                for name, each in ((PREDICTIONS, table), (TILE_MAPS, maps)):
                    if each is not None:
                        with atomic_file(local / shard.file(name, writer.suffix)) as temporary:
                            writer.write(each, temporary)
        work.finish(shard, 0 if table is None else len(table), outcome.rejections)
    except OSError as error:
        # Of this type it reaches the step's command through Beam as its one line.
        raise StepError(f"cannot write {work.output}: {os_reason(error)}") from error
