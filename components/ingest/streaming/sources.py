"""Where lines arrive from: Pub/Sub, or a folder that photographs are dropped in."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.coders import BooleanCoder
from apache_beam.io import ReadFromPubSub
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.userstate import ReadModifyWriteRuntimeState, ReadModifyWriteStateSpec
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from components.ingest.settings import StreamSettings
from components.ingest.sources.source import read_folder
from components.ingest.streaming.stream_rows import lines_of_folder, lines_of_message
from components.ingest.streaming.window_folder import lines_of_windows


class ReadMessages(beam.PTransform):  # type: ignore[misc]
    """Lines of the messages of a Pub/Sub topic or subscription, at the time of publication.

    Args:
        name: `projects/<project>/subscriptions/<name>` or `projects/<project>/topics/<name>`.
        settings: What the messages look like.
    """

    def __init__(self, name: str, settings: StreamSettings) -> None:
        super().__init__()
        self._name = name
        self._settings = settings

    def expand(self, begin: beam.pvalue.PBegin) -> "beam.PCollection[str]":
        """Takes the pipeline; gives JSON lines."""
        kind = "topic" if "/topics/" in self._name else "subscription"
        read = ReadFromPubSub(**{kind: self._name}, with_attributes=True)
        return begin | "Read" >> read | "Lines" >> beam.ParDo(_MessageLines(self._settings))


@beam.typehints.with_output_types(str)
class _MessageLines(beam.DoFn):  # type: ignore[misc]
    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings

    def process(self, message: PubsubMessage) -> Iterator[str]:
        yield from lines_of_message(message.data, message.attributes, self._settings)


class WatchFolder(beam.PTransform):  # type: ignore[misc]
    """Lines of the files below a folder of label folders, as they turn up, each path once.

    Files that an earlier window holds are passed over, so that a watch can be taken up again.
    Not Beam's MatchContinuously: a folder's rows are told as the batch mode tells them.

    Args:
        folder: The folder.
        out: Where the windows' folders stand.
        settings: How often to look.
        stop: When to stop; none starts at or after this time.
    """

    def __init__(
        self, folder: Path, out: str, settings: StreamSettings, stop: Timestamp = MAX_TIMESTAMP
    ) -> None:
        super().__init__()
        self._looks = PeriodicImpulse(Timestamp.now(), stop, settings.poll)
        self._list = _ListFolder(folder.absolute(), out, settings)

    def expand(self, begin: beam.pvalue.PBegin) -> "beam.PCollection[str]":
        """Takes the pipeline; gives JSON lines."""
        return (
            begin
            | "Look" >> self._looks
            | "List" >> beam.ParDo(self._list)
            | "Once" >> beam.ParDo(_Once())
        )


@beam.typehints.with_output_types(tuple[str, None])
class _ListFolder(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: Path, out: str, settings: StreamSettings) -> None:
        self._folder = folder
        self._out = out
        self._settings = settings

    def setup(self) -> None:
        self._known = lines_of_windows(self._out)

    def process(self, _: object) -> Iterator[tuple[str, None]]:
        table = read_folder(str(self._folder))
        for line in lines_of_folder(table, f"{self._folder}/", self._settings.ingest):
            if line not in self._known:
                yield line, None


@beam.typehints.with_input_types(tuple[str, None])
@beam.typehints.with_output_types(str)
class _Once(beam.DoFn):  # type: ignore[misc]
    SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", BooleanCoder()))

    def process(
        self, element: tuple[str, None], seen: ReadModifyWriteRuntimeState = SEEN
    ) -> Iterator[str]:
        if not seen.read():
            seen.write(True)
            yield element[0]
