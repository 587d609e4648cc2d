"""One of each thing that people add, as test_extending.py adds it to a copy."""

import pytest

pytestmark = pytest.mark.slow


BACKBONE = '''
"""A toy backbone."""

from typing import Any

from darkroom.backbones.backbone import from_scratch


def toy(image_size: tuple[int, int]) -> Any:
    """One convolution."""
    import keras

    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 3, activation="relu")(inputs), name="toy")


BACKBONES = (from_scratch("toy", toy, minimum_side=4),)
'''


METRIC = '''
"""A toy metric."""

from darkroom.metrics.metric import Metric

LABELS_PREDICTED = Metric(
    name="labels_predicted",
    title="Labels predicted",
    meaning="Number of labels that any image is given.",
    range=(0, 1000),
    single_label=lambda slice_: float((slice_.confusion.sum(axis=0) > 0).sum()),
)
'''


PUSH_TARGET = '''
"""A toy push target: a file that names the model."""

from pathlib import Path

from components.push.targets.target import PushedVersion
from darkroom.artifacts.push_log import Entry
from darkroom.errors import StepError


class ToyTarget:
    """A file of digests, a line a version."""

    FORM = "toy:///FILE"
    TAKES_CANARIES = False

    def __init__(self, destination):
        self._file = Path(destination.removeprefix("toy://"))

    @classmethod
    def accepts(cls, destination):
        """By its scheme."""
        return destination.startswith("toy://")

    def check(self):
        """Nothing to know."""

    def publish(self, model, traffic=100):
        """Appends the digest."""
        with self._file.open("a") as file:
            file.write(model.manifest["digest"] + "\\n")
        return self.current()

    def current(self):
        """The last line."""
        return next(iter(self.versions()), None)

    def canary(self):
        """None: all requests go to the last."""
        return None

    def fetch(self, version, folder):
        """Not to be had."""
        raise StepError(f"{version.location} is but a digest")

    def versions(self):
        """All lines, the last first."""
        lines = self._file.read_text().split() if self._file.exists() else []
        found = [
            PushedVersion(n, f"toy://{self._file}#{n}", {"digest": digest})
            for n, digest in enumerate(lines, 1)
        ]
        return found[::-1]

    def traffic(self):
        """All of it for the last."""
        return {len(self.versions()): 100}

    def rolled_back(self):
        """None: they are forgotten."""
        return []

    def promote(self, traffic=100, reason="", canary=None):
        """There is nothing to promote."""
        raise StepError("a file of digests has no canary")

    def repository(self):
        """None: there are no files."""
        return None

    def prune(self, keep):
        """Keeps all."""
        return []

    def log(self):
        """None is kept."""
        return []

    def rollback(self, to=None, reason="", canary=None):
        """Removes the last line."""
        last, before = self.versions()[:2]
        lines = self._file.read_text().split()[:-1]
        self._file.write_text("\\n".join(lines) + "\\n")
        return Entry("rollback", last.number, before.number, rolled_back=[last.number])


TARGET = ToyTarget
'''


STEP = {
    "__init__.py": "",
    "settings.py": '''
"""Settings of the toy step."""

from darkroom.settings import Settings


class ToySettings(Settings):
    """What the toy step says."""

    greeting: str = "hello"
    """Its first word."""
''',
    "toy.py": '''
"""The toy step."""

from pathlib import Path

from components.toy.settings import ToySettings
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.manifest import atomic_artifact, write_manifest


def toy(evaluation: Path, settings: ToySettings, *, note: Path) -> str:
    """Says how good a model is.

    Args:
        evaluation: What evaluate wrote.
        settings: What to say.
        note: Output: what was said.
    """
    said = f"{settings.greeting} {len(read_evaluation(evaluation).labels)} labels"
    with atomic_artifact(note) as temporary:
        write_manifest(temporary, "note", {"said": said})
    return said
''',
    "step.py": '''
"""The toy step as a Kubeflow component."""

from kfp.dsl import Artifact, Input, Output


def toy(
    evaluation: Input[Artifact],
    settings: dict,
    note: Output[Artifact],
) -> str:
    """Says how good a model is."""
    arguments = locals().copy()
    from components.toy.toy import toy
    from darkroom.runtime.run_step import run_step

    return run_step(toy, **arguments)
''',
}


ROW = """    Step(
        "toy",
        "components.toy.step:toy",
        "components.toy.settings:ToySettings",
        about="says how good a model is",
    ),
"""


RUN_TARGET = '''
"""A toy place to run."""

from pipeline.targets.local.target import LocalTarget


class ToyTarget(LocalTarget):
    """Compiles as it is."""

    name = "toy"
    is_cluster = True


TARGET = ToyTarget()
'''
