"""Messages of Pub/Sub about photographs, gathered into windows by Beam, and predicted."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import apache_beam as beam
from apache_beam.io import ReadFromPubSub
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import IntervalWindow

from components.predict.settings import StreamSettings
from components.predict.windows import write_window
from darkroom.beam.windows import into_windows
from darkroom.sources.file_names import is_left_by_systems, is_side_file


def line_of_message(data: bytes, attributes: Mapping[str, str], column: str) -> str | None:
    """The row of a message as a line of JSON; None where it is about no photograph.

    Args:
        data: A JSON object such as `{"image": "gs://bucket/a.jpg", "camera": "3"}`; or anything,
            where the attributes are those of a Cloud Storage notification.
        attributes: The message's attributes.
        column: The column that holds the image.
    """
    if "objectId" not in attributes or "bucketId" not in attributes:
        return " ".join(data.decode(errors="backslashreplace").splitlines())
    name = attributes["objectId"]
    is_new = attributes.get("eventType") == "OBJECT_FINALIZE"
    if not is_new or is_left_by_systems(name) or is_side_file(name):
        return None
    return json.dumps({column: f"gs://{attributes['bucketId']}/{name}"})


class PredictWindows(beam.PTransform):  # type: ignore[misc]
    """Predicts the rows of each window of time, and what comes late for it.

    Args:
        out: Path or URI of the folder that windows go to.
        settings: How long a window is, and how it is predicted.
    """

    def __init__(self, out: str, settings: StreamSettings) -> None:
        super().__init__()
        self._out = out
        self._settings = settings

    def expand(self, lines: "beam.PCollection[str]") -> "beam.PCollection[str]":
        """Takes lines of JSON with their times of arrival; gives the windows' folders."""
        return (
            lines
            | "Windows" >> into_windows(self._settings.window)
            | "As one" >> beam.Map(_as_one).with_output_types(tuple[int, str])
            | "Gather rows" >> beam.GroupByKey()
            | "Predict" >> beam.ParDo(_PredictWindow(self._out, self._settings))
        )


def _as_one(line: str) -> tuple[int, str]:
    return 0, line


@beam.typehints.with_input_types(tuple[int, Iterable[str]])
@beam.typehints.with_output_types(str)
class _PredictWindow(beam.DoFn):  # type: ignore[misc]
    def __init__(self, out: str, settings: StreamSettings) -> None:
        self._out = out
        self._settings = settings

    def process(
        self,
        element: tuple[int, Iterable[str]],
        window: IntervalWindow = beam.DoFn.WindowParam,
    ) -> Iterator[str]:
        yield write_window(element[1], float(window.start), self._out, self._settings)


@beam.typehints.with_output_types(str)
class _Lines(beam.DoFn):  # type: ignore[misc]
    def __init__(self, column: str) -> None:
        self._column = column

    def process(self, message: PubsubMessage) -> Iterator[str]:
        line = line_of_message(message.data, message.attributes, self._column)
        if line:
            yield line


def build_pipeline(
    name: str, out: str, settings: StreamSettings, options: Sequence[str]
) -> beam.Pipeline:
    """The whole pipeline, which runs where it is used as a context.

    Args:
        name: `projects/<project>/subscriptions/<name>` or `projects/<project>/topics/<name>`.
        out: Path or URI of the folder that windows go to.
        settings: How long a window is, and how it is predicted.
        options: Beam's own.
    """
    pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
    kind = "topic" if "/topics/" in name else "subscription"
    _ = (
        pipeline
        | "Read" >> ReadFromPubSub(**{kind: name}, with_attributes=True)
        | "Lines" >> beam.ParDo(_Lines(settings.predict.image_column))
        | "Windows" >> PredictWindows(out, settings)
    )
    return pipeline
