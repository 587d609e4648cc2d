"""A SavedModel is loaded from any path."""

from pathlib import Path

import pytest

from darkroom.artifacts.saved_model import load_saved_model, plain_path

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["runs [1]", "exp[lr=0.1]", "a*b?", "{x,y}", "back\\slash", "plain"]
)
def test_brackets_and_stars_are_no_pattern(tmp_path: Path, name: str) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    folder = tmp_path / name / "model"
    # Written elsewhere: it is reading that takes a path for a pattern.
    tf.saved_model.save(module, str(tmp_path / "written"))
    folder.parent.mkdir(exist_ok=True)
    (tmp_path / "written").rename(folder)
    assert load_saved_model(folder).weight.numpy().tolist() == [1.0, 2.0]
    assert (plain_path(folder) == folder) == (name == "plain")
    assert plain_path(folder).resolve() == folder.resolve()
