"""Photographs find their copies, and the page shows them."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.search.index import build_index
from components.search.page import write_page
from components.search.similar import Found, find_similar
from components.search.tests.conftest import DIGEST, photograph, write_predictions
from darkroom.artifacts.manifest import read_manifest, write_manifest
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(40):
        (folder / f"{number}.png").write_bytes(photograph(number))
    return [folder / f"{number}.png" for number in range(40)]


@pytest.fixture(scope="module")
def index(model: Path, photographs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    contents = tf.constant([path.read_bytes() for path in photographs])
    embeddings = loaded.signatures["embedding"](image_bytes=contents)["embedding"].numpy()
    folder = tmp_path_factory.mktemp("search")
    digest = read_manifest(model, "model")["digest"]
    images = [str(path) for path in photographs]
    build_index(write_predictions(folder / "predictions", images, embeddings, digest), folder / "i")
    return folder / "i"


def test_a_changed_photograph_finds_the_one_it_was(
    model: Path, index: Path, photographs: list[Path], tmp_path: Path
) -> None:
    asked = []
    for number in (3, 17, 31):
        with Image.open(photographs[number]) as image:
            darker = image.convert("RGB").point(lambda value: round(0.8 * value))
        asked.append(tmp_path / f"{number}.jpg")
        darker.save(asked[-1], quality=50)
    found = find_similar(model, index, asked, 5)
    assert [one.image for one in found] == asked
    assert all(len(one.neighbours) == 5 for one in found)
    nearest = [one.neighbours[0].image for one in found]
    assert nearest == [str(photographs[number]) for number in (3, 17, 31)]


def test_the_page_loads_nothing_and_does_without_photographs_that_are_gone(
    browser: Any, model: Path, index: Path, photographs: list[Path], tmp_path: Path
) -> None:
    (one,) = find_similar(model, index, [photographs[0]], 4)
    gone = one.neighbours[1]._replace(image=str(tmp_path / "gone & <b>lost</b>.jpg"), label="<i>x")
    write_page([Found(one.image, [one.neighbours[0], gone, *one.neighbours[2:]])], tmp_path / "p")
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content((tmp_path / "p").read_text())
    assert [url for url in asked if not url.startswith("data:")] == []
    assert page.locator("li").count() == 5
    pictures = page.locator("img")
    assert pictures.count() == 4
    assert all(
        pictures.nth(place).evaluate("image => image.naturalWidth > 0") for place in range(4)
    )
    assert page.get_by_text("no preview").count() == 1
    assert page.get_by_text("<i>x").count() == 1
    page.close()


def test_what_cannot_be_asked_about(
    model: Path, index: Path, photographs: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="there is no file"):
        find_similar(model, index, [photographs[0], tmp_path / "none.jpg"], 5)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(StepError, match=r"text\.jpg is no image that the model can read"):
        find_similar(model, index, [tmp_path / "text.jpg"], 5)
    with pytest.raises(SettingsError, match=r"^there is no model at .*/none$"):
        find_similar(tmp_path / "none", index, photographs[:1], 5)
    odd = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.jpg"))
    odd.write_bytes(photographs[0].read_bytes())
    with pytest.raises(SettingsError, match=r"xff\.jpg: the file's name is not UTF-8 text"):
        find_similar(model, index, [odd], 5)


@pytest.mark.parametrize("left", ["labels", None])
def test_a_model_that_does_not_state_its_digest(
    model: Path, index: Path, photographs: list[Path], tmp_path: Path, left: str | None
) -> None:
    """Its files have the digest that predictions state of it."""
    other = tmp_path / "model"
    shutil.copytree(model, other)
    manifest = json.loads((other / "manifest.json").read_text())
    del manifest["digest"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    if left is None:
        (other / "manifest.json").unlink()
    (found,) = find_similar(other, index, photographs[:1], 1)
    assert found.neighbours[0].image == str(photographs[0])


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"^cannot write .*/none/page\.html: No such file"):
        write_page([], tmp_path / "none" / "page.html")


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_embedding_without_a_direction_is_like_nothing(
    photographs: list[Path], tmp_path: Path, value: float
) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def embedding(image_bytes: Any) -> dict[str, Any]:
        return {"embedding": tf.fill([tf.size(image_bytes), 4], value)}

    model = tmp_path / "model"
    tf.saved_model.save(tf.Module(), str(model), signatures={"embedding": embedding})
    write_manifest(model, "model", {"labels": ["bright", "dark"], "digest": DIGEST})
    images = [str(path) for path in photographs[:4]]
    build_index(write_predictions(tmp_path / "p", images, np.eye(4)), tmp_path / "i")
    with pytest.raises(StepError, match=r"embedding of .*/0\.png is no direction"):
        find_similar(model, tmp_path / "i", photographs[:1], 2)


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pipeline.cli.main", *map(str, arguments)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=quiet)


def test_the_command(model: Path, index: Path, photographs: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "similar.html"
    given = command("similar", model, index, photographs[8], "-n", "3", "--json", "--page", page)
    assert given.returncode == 0, given.stderr
    (row,) = json.loads(given.stdout)
    assert row["image"] == str(photographs[8])
    assert len(row["similar"]) == 3
    assert row["similar"][0]["image"] == str(photographs[8])
    assert page.read_text().startswith("<!doctype html>")
    # Of another model: refused before TensorFlow is loaded.
    other = tmp_path / "other"
    images = [str(path) for path in photographs]
    predictions = write_predictions(tmp_path / "predictions", images, np.eye(40, 48))
    assert command("index", predictions, "-o", other).stdout == f"40 photographs\n{other}\n"
    refused = command("similar", model, other, photographs[8])
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("[darkroom] error: the index ")
    assert refused.stderr.count("\n") == 1


def test_a_picture_of_other_than_rgb_is_shown(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("CMYK", (9, 9)).save(file, "JPEG")
    (tmp_path / "cmyk.jpg").write_bytes(file.getvalue())
    write_page([Found(tmp_path / "cmyk.jpg", [])], tmp_path / "page.html")
    assert "data:image/jpeg;base64," in (tmp_path / "page.html").read_text()
