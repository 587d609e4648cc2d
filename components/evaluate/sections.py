"""Sections of the evaluate step's settings: weak slices, fairness, the model's card, MLflow."""

from typing import Annotated, Self
from urllib.parse import urlsplit

import pydantic

from darkroom.settings import Settings, nearest


class WeakSlices(Settings):
    """The search for weak slices: those with a lower accuracy than the rest, which nobody named."""

    features: tuple[str, ...] | None = None
    """Features to look at; unset: the label, orientation, brightness, contrast, sharpness and all
    further columns of at most 50 values. An empty list: none, no search."""

    crossed: int = pydantic.Field(default=2, ge=1, le=3)
    """Most features that are crossed."""

    smallest: int = pydantic.Field(default=20, ge=2)
    """Photographs below which a slice is not looked at."""


FAIRNESS = (
    "recall_gap",
    "false_positive_gap",
    "precision_gap",
    "selection_gap",
    "equalized_odds_gap",
    "selection_ratio",
)
"""Measures of how differently groups are treated: gaps are at most their bound, the ratio at
least."""


class Fairness(Settings):
    """Groups of photographs that are to be treated alike."""

    columns: tuple[str, ...] = ()
    """Columns whose values are the groups; numbers are put into buckets as slices are."""

    label: str | None = None
    """The label whose being given matters; unset: every label is looked at against the rest, and
    the one with the widest gap counts."""

    bounds: dict[str, Annotated[float, pydantic.Field(ge=0, le=1)]] = pydantic.Field(
        default_factory=dict
    )
    """What fails a model: `recall_gap`, `false_positive_gap`, `precision_gap`, `selection_gap` or
    `equalized_odds_gap` above its bound, `selection_ratio` below (0.8: the four-fifths rule)."""

    smallest_group: int = pydantic.Field(default=20, ge=1)
    """Photographs below which a group is left out."""

    @pydantic.field_validator("bounds")
    @classmethod
    def _check_measures(cls, bounds: dict[str, float]) -> dict[str, float]:
        for name in bounds:
            if name not in FAIRNESS:
                raise ValueError(f"unknown measure '{name}'{nearest(name, FAIRNESS)}")
        return bounds

    @pydantic.model_validator(mode="after")
    def _has_groups(self) -> Self:
        if (self.bounds or self.label) and not self.columns:
            given = "bounds" if self.bounds else "label"
            raise ValueError(f"'{given}' needs 'columns', whose values are the groups")
        return self


class ModelCardSettings(Settings):
    """What people say of a model in its card; all else in it is measured."""

    name: str | None = None
    """What the model is called; unset: `image classifier`."""

    license: str | None = None
    """The licence it is given under, by its SPDX name in small letters: `apache-2.0`."""

    description: str = ""
    """What it is, in a sentence or more."""

    intended_use: str = ""
    """What it is for, and what it is not for."""

    limitations: str = ""
    """What is known of where it fails, whom it may harm, and what to do against it."""


class MlflowSettings(Settings):
    """Where MLflow keeps the runs."""

    tracking_uri: str = pydantic.Field(min_length=1)
    """The server's address, such as `https://mlflow.example.com`; its user and password, or token,
    are those of MLflow's own environment variables. Or a database, `sqlite:///mlflow.db`, for which
    the whole package `mlflow` must be installed."""

    experiment: str = pydantic.Field(default="darkroom", min_length=1)
    """The experiment that runs are put into; it is made if it does not exist."""

    @pydantic.field_validator("tracking_uri")
    @classmethod
    def _without_secrets(cls, uri: str) -> str:
        # Settings are shown in reports and manifests.
        parts = urlsplit(uri)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(
                "leave user and password out of the address: they are MLFLOW_TRACKING_USERNAME "
                "and MLFLOW_TRACKING_PASSWORD in the environment"
            )
        return uri
