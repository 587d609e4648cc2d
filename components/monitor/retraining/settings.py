"""Settings of retraining."""

import glob
from typing import Annotated, Literal

import pydantic

from components.monitor.labelling.settings import PseudoLabelSettings
from components.monitor.retraining.conditions import Bound, When, parse_when
from darkroom.durations import Duration
from darkroom.settings import Settings

How = Literal["fine_tune", "from_scratch", "noisy_student"]


def tables_of(dataset: str) -> str:
    """The glob of a dataset's tables.

    >>> tables_of("gs://bucket/production")
    'gs://bucket/production/*.jsonl'
    """
    return f"{glob.escape(dataset)}/*.jsonl"


def _understood(when: str) -> str:
    parse_when(when)
    return when


class TriggerSettings(Settings):
    """The trigger server, which starts runs on a cluster."""

    address: str = pydantic.Field(pattern=r"^https?://[^/]+")
    """Its address, such as `https://trigger.example.com`; `/quality` is put behind it."""

    secret: str = pydantic.Field(
        default="DARKROOM_TRIGGER_SECRET", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )
    """The environment variable that holds the secret which it asks of its callers. An empty one
    sends none."""


class RetrainSettings(Settings):
    """When and how the model is trained again."""

    when: Annotated[str, pydantic.AfterValidator(_understood)]
    """Conditions joined by `or` and `and`: `accuracy < 0.9`, `accuracy of camera=left < 0.8` and
    other metrics; `brightness_drift for 3 windows` (also `label_`, `format_`, `confidence_`,
    `entropy_`, `height_`, `width_`, `contrast_`, `sharpness_`, `accuracy_`, `embedding_drift`);
    `drift for 3 windows` of any of them; `new_labels >= 500`; `every 30 days`. What was before the
    last retraining counts no more."""

    how: Literal["fine_tune", "from_scratch", "noisy_student", "auto"] = "auto"
    """`fine_tune` starts from the model that serves; `auto` does so while the new photographs since
    the last training from scratch are under a tenth of the old ones. `noisy_student` trains from
    scratch, also on photographs without labels that the model which serves is sure of."""

    pseudo_labels: PseudoLabelSettings = PseudoLabelSettings()
    """Which photographs those are, for `noisy_student`."""

    dataset: Annotated[str, pydantic.AfterValidator(lambda place: place.rstrip("/"))] = (
        pydantic.Field(min_length=1)
    )
    """Folder, or URI of one, that the labelled photographs of production are written to, and that
    ingest reads beside `data`."""

    not_worse_by: float = pydantic.Field(default=0.02, ge=0, le=1)
    """By how much the accuracy of all other photographs may be worse than the champion's, beyond
    noise. That of the photographs of production may not be worse at all."""

    longest: Duration = "1d"
    """Time after which a run on a cluster, of whose end nothing is known, counts as ended."""

    trigger: TriggerSettings | None = None
    """Who starts the run on a cluster. Unset: `darkroom monitor` runs it here."""

    @property
    def alternatives(self) -> When:
        """What `when` says."""
        return parse_when(self.when)

    @property
    def sliced_bounds(self) -> tuple[Bound, ...]:
        """The conditions on slices."""
        conditions = (each for alternative in self.alternatives for each in alternative)
        return tuple(each for each in conditions if isinstance(each, Bound) and each.slice)

    @property
    def tables(self) -> str:
        """The tables of the dataset, as `ingest.further_data` takes them."""
        return tables_of(self.dataset)

    def pseudo_labels_of(self, key: str) -> str:
        """Where the table of a retraining's photographs is that the model itself labelled."""
        return f"{self.dataset}/pseudo-labels-{key.removeprefix('retraining-')}.csv"
