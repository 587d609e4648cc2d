"""The unbounded pipeline: lines that arrive, to a folder of examples a window."""

import logging
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.userstate import SetRuntimeState, SetStateSpec
from apache_beam.transforms.window import IntervalWindow

from components.ingest.settings import StreamSettings
from components.ingest.shards.chunk import Chunk
from components.ingest.shards.chunks import chunks_of
from components.ingest.streaming.window_folder import WindowFolder, window_name
from darkroom.beam.windows import into_windows

_log = logging.getLogger("darkroom.stream")

_ChunkKey = tuple[str, int]
_Written = tuple[str, tuple[int, int]]


def build_pipeline(
    source: beam.PTransform, out: str, settings: StreamSettings, options: Sequence[str]
) -> beam.Pipeline:
    """The whole pipeline, which runs where it is used as a context.

    Args:
        source: Gives lines of JSON with their times of arrival.
        out: Where the windows' folders stand, a path or a URI.
        settings: The streaming mode's settings.
        options: Beam's own.
    """
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    _ = pipeline | "Source" >> source | "Windows" >> WriteWindows(out, settings)
    return pipeline


class WriteWindows(beam.PTransform):  # type: ignore[misc]
    """Writes the rows of each window, and what comes late for it, as folders of examples.

    Only rows pass a shuffle. The worker that reads a chunk's photographs writes its shards to a
    temporary folder; when all of a window's chunks are done, its folder is completed from them.

    Args:
        out: Where the windows' folders stand, a path or a URI.
        settings: The streaming mode's settings.
    """

    def __init__(self, out: str, settings: StreamSettings) -> None:
        super().__init__()
        self._out = out
        self._settings = settings

    def expand(self, lines: "beam.PCollection[str]") -> "beam.PCollection[str]":
        """Takes lines of JSON with their times of arrival; gives the names of finished windows."""
        arguments = (self._out, self._settings)
        return (
            lines
            | "Windows" >> into_windows(self._settings.window)
            | "As one" >> beam.Map(_as_one).with_output_types(tuple[int, str])
            | "Gather rows" >> beam.GroupByKey()
            | "List chunks" >> beam.ParDo(_ListChunks(*arguments))
            # Not Reshuffle, which on the direct runner loses what comes late.
            | "Spread chunks" >> beam.GroupByKey()
            | "Write shards" >> beam.ParDo(_WriteShards(*arguments))
            | "Finish" >> beam.ParDo(Finish(*arguments))
        )


def _as_one(line: str) -> tuple[int, str]:
    return 0, line


class _WindowStep(beam.DoFn):  # type: ignore[misc]
    def __init__(self, out: str, settings: StreamSettings) -> None:
        self._out = out
        self._settings = settings

    def _folder(self, name: str) -> WindowFolder:
        return WindowFolder(self._out, name, self._settings.ingest)


@beam.typehints.with_input_types(tuple[int, Iterable[str]])
@beam.typehints.with_output_types(tuple[_ChunkKey, Chunk])
class _ListChunks(_WindowStep):
    """Reads a window's rows as a table; types of columns are a window's own."""

    def process(
        self,
        element: tuple[int, Iterable[str]],
        window: IntervalWindow = beam.DoFn.WindowParam,
    ) -> Iterator[tuple[_ChunkKey, Chunk]]:
        # In one order, whatever the order of arrival; a message that comes twice is one row.
        lines = sorted(set(element[1]))
        folder = self._folder(window_name(float(window.start), lines))
        if folder.is_whole():
            return
        table = folder.begin(lines)
        # Where no row is left to read, an empty chunk still brings the window to its end.
        for chunk in chunks_of(table.rows, self._settings.ingest) or [Chunk(0, 1, [], [])]:
            yield (folder.name, chunk.number), chunk


@beam.typehints.with_input_types(tuple[_ChunkKey, Iterable[Chunk]])
@beam.typehints.with_output_types(_Written)
class _WriteShards(_WindowStep):
    """Reads a chunk's photographs, and writes its shards to a temporary folder."""

    def process(self, element: tuple[_ChunkKey, Sequence[Chunk]]) -> Iterator[_Written]:
        (name, _), chunks = element
        for chunk in chunks:
            self._folder(name).write(chunk)
            yield name, (chunk.number, chunk.total)


@beam.typehints.with_input_types(_Written)
@beam.typehints.with_output_types(str)
class Finish(_WindowStep):
    """Makes a window's folder whole when the last of its chunks is written."""

    WRITTEN = beam.DoFn.StateParam(SetStateSpec("written", VarIntCoder()))

    def process(self, element: _Written, written: SetRuntimeState = WRITTEN) -> Iterator[str]:
        """Takes note of a chunk that is written; gives the window's name if it was the last."""
        name, (number, total) = element
        written.add(number)
        if len(set(written.read())) < total:
            return
        written.clear()
        folder = self._folder(name)
        if folder.is_whole():
            return
        counts = folder.finish()
        kept = ", ".join(f"{split} {count:,}" for split, count in counts.items())
        _log.info("%s: %s", folder.location, kept)
        yield name
