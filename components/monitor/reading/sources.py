"""Where answers come from, and the embeddings of their photographs."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from components.monitor.reading.answer import Answer
from components.monitor.reading.batch import Floats, Take, predicted_answers, predicted_embeddings
from components.monitor.reading.embedder import embedded
from components.monitor.reading.samples import sampled_answers, sampled_photographs


class Source(Protocol):
    """A source of answers; what it gives may be read twice."""

    def answers(self, keep: Collection[str], problems: Counter[str]) -> Iterator[Answer]:
        """Its answers.

        Args:
            keep: The columns to keep, to slice by.
            problems: Counts what is wrong, by reason.
        """

    def embeddings(
        self, take: Take, models: Mapping[str, str], problems: Counter[str]
    ) -> Iterator[tuple[str, str, Floats]]:
        """The embeddings of its photographs.

        Args:
            take: Says of a version and a photograph whether its embedding is asked for.
            models: Path or URI of the folder of each version.
            problems: Counts what is wrong, by reason.

        Yields:
            The version, the photograph's `image_id` and its embedding, float32 [D].
        """


class BatchSource:
    """A batch prediction.

    Args:
        folder: The predictions artifact.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def answers(self, keep: Collection[str], problems: Counter[str]) -> Iterator[Answer]:
        """Its rows; see `Source`."""
        return predicted_answers(self._folder, keep, problems)

    def embeddings(
        self,
        take: Take,
        models: Mapping[str, str],  # noqa: ARG002
        problems: Counter[str],  # noqa: ARG002
    ) -> Iterator[tuple[str, str, Floats]]:
        """Those that it was asked for with `embedding: true`; see `Source`."""
        return predicted_embeddings(self._folder, take)


class SampleSource:
    """What a server has kept.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
        files_read: Digests of files that were read before; those that are read now, and stay as
            they are, are added.
    """

    def __init__(self, folder: str, model: str, files_read: set[str]) -> None:
        self._place = (folder, model)
        self._before = frozenset(files_read)
        self._files_read = files_read

    def answers(self, keep: Collection[str], problems: Counter[str]) -> Iterator[Answer]:
        """The lines of its files; see `Source`."""
        return sampled_answers(*self._place, keep, problems, self._files_read)

    def embeddings(
        self, take: Take, models: Mapping[str, str], problems: Counter[str]
    ) -> Iterator[tuple[str, str, Floats]]:
        """Of the photographs that it kept (`sample.images`); see `Source`."""
        photographs = sampled_photographs(*self._place, take, self._before)
        return embedded(photographs, models, problems)
