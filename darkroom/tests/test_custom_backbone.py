"""A user's own backbone, given as `module:function`."""

from pathlib import Path

import pytest

from components.train.settings import TrainSettings
from darkroom.backbones.registry import build_backbone
from darkroom.errors import StepError

pytestmark = pytest.mark.slow

MODULE = """
import keras

def tiny(image_size):
    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Conv2D(5, 3)(inputs))

def number(image_size):
    return 3

def other_size(image_size):
    return tiny((9, 9))

def three_dimensions(image_size):
    inputs = keras.Input((*image_size, 3))
    return keras.Model(inputs, keras.layers.Reshape((-1, 3))(inputs))

def broken(image_size):
    return image_size["height"]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "photographers_own"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "nets.py").write_text(MODULE)
    (folder / "needy.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "photographers_own.nets"


def test_it_is_built(package: str) -> None:
    backbone = build_backbone(f"{package}:tiny", (12, 10), None, "none")
    assert backbone.output_shape == (None, 10, 8, 5)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("no_such_package.nets:tiny", r"there is no module no_such_package for no_such_.*PYTHONP"),
        ("photographers_own.net:tiny", r"there is no module photographers_own\.net for"),
        ("photographers_own.nets:tinny", r"nets has no function tinny; did you mean 'tiny'"),
        ("photographers_own.nets:keras", r"nets has no function keras"),
        ("photographers_own.nets:number", r"returned int, not a keras.Model"),
        ("photographers_own.nets:other_size", r"takes \(None, 9, 9, 3\), not \(None, 12, 10, 3\)"),
        ("photographers_own.nets:three_dimensions", r"gives \(None, 120, 3\), neither"),
    ],
)
def test_what_is_missing_or_wrong_is_one_line(package: str, path: str, said: str) -> None:
    with pytest.raises(StepError, match=said):
        build_backbone(path, (12, 10), None, "none")


def test_errors_of_its_own_pass_with_their_traceback(package: str) -> None:
    with pytest.raises(TypeError, match="indices"):
        build_backbone(f"{package}:broken", (12, 10), None, "none")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        build_backbone("photographers_own.needy:tiny", (12, 10), None, "none")


def test_settings_check_no_more_than_the_form() -> None:
    name = "no_such_package.nets:tiny"
    assert TrainSettings(backbone=name, weights="none").backbone == name
    for wrong in ("my.module:", ":function", "my module:function", "my/module.py:function"):
        with pytest.raises(ValueError, match=r"my_package\.my_module:my_function"):
            TrainSettings(backbone=wrong, weights="none")
    with pytest.raises(ValueError, match="has no imagenet weights"):
        TrainSettings(backbone=name)
    with pytest.raises(ValueError, match="alpha is for"):
        TrainSettings(backbone=name, weights="none", alpha=0.5)
