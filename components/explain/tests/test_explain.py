"""Explanations lie on what an answer follows from, and add up to it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from components.explain.explain import explain, explain_files
from components.explain.explained_model import ExplainedModel
from components.explain.methods.integrated_gradients import by_colour
from components.explain.methods.kernel_shap import _coalitions, _solved
from components.explain.settings import ExplainSettings, Method
from components.explain.vertex import SPECIFICATION_FILE
from darkroom.artifacts import examples as examples_format
from darkroom.artifacts import model as model_format
from darkroom.artifacts.evaluation import (
    EXPLANATION_LEGEND,
    explanation_mark,
    marked_for_explanation,
)
from darkroom.artifacts.manifest import write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

pytestmark = pytest.mark.slow

SIDE = 48
CAUSE = (slice(8, 24), slice(20, 40))
"""Where the model looks: nothing else changes its answer."""
METHODS: tuple[Method, ...] = ("xrai", "integrated_gradients", "grad_cam", "kernel_shap")


def explained(
    model: Path, files: list[Path], settings: ExplainSettings, out: Path
) -> dict[str, Any]:
    """What `explain_files` writes of some files."""
    explain_files(model, files, settings, out)
    manifest: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return manifest


def save_model(folder: Path, weights: Any, signatures: bool = True, features: bool = True) -> Path:
    """A model whose probability of `lit` is a sigmoid of the pixels' weighted mean."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = tf.Variable(np.asarray(weights, np.float32))

    def predict(images: Any) -> dict[str, Any]:
        return head(images / 255 * module.weights)

    def head(features: Any) -> dict[str, Any]:
        score = 14 * (tf.reduce_sum(features, axis=[1, 2, 3]) - 0.35)
        lit = tf.sigmoid(score)
        return {"probabilities": tf.stack([1 - lit, lit], axis=1)}

    def decode(encoded: Any) -> Any:
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        return tf.image.resize(image, (SIDE, SIDE))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def preprocess(image_bytes: Any) -> dict[str, Any]:
        return {"input_images": tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)}

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "input_images")])
    def answer(input_images: Any) -> dict[str, Any]:
        return predict(input_images)

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "input_images")])
    def to_features(input_images: Any) -> dict[str, Any]:
        return {"features": input_images / 255 * module.weights}

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32, "features")])
    def answer_to_features(features: Any) -> dict[str, Any]:
        return head(features)

    module.functions = answer, preprocess, to_features, answer_to_features
    named = {model_format.XAI_MODEL: answer}
    if signatures:
        named[model_format.XAI_PREPROCESS] = preprocess
    if features:
        named[model_format.XAI_FEATURES] = to_features
        named[model_format.XAI_HEAD] = answer_to_features
    tf.saved_model.save(module, str(folder), signatures=named)
    content = {"labels": ["dark", "lit"], "image_size": [SIDE, SIDE], "digest": "x"}
    write_manifest(folder, model_format.KIND, content)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = np.zeros((SIDE, SIDE, 3))
    weights[CAUSE] = 1 / weights[CAUSE].size
    return save_model(tmp_path_factory.mktemp("explain") / "model", weights)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made picture: bright where the model looks, and as bright elsewhere, where it does not."""
    generator = np.random.default_rng(1)
    pixels = generator.integers(0, 90, (SIDE, SIDE, 3))
    pixels[CAUSE] = 200 + generator.integers(0, 40, pixels[CAUSE].shape)
    pixels[32:44, 4:16] = 230
    file = tmp_path_factory.mktemp("explain") / "made.png"
    Image.fromarray(pixels.astype(np.uint8)).save(file)
    return file


@pytest.mark.parametrize("method", METHODS)
def test_the_attribution_lies_on_the_cause(
    model: Path, photograph: Path, tmp_path: Path, method: Method
) -> None:
    settings = ExplainSettings(method=method, samples=3000)
    (row,) = explained(model, [photograph], settings, tmp_path / "out")["explained"]
    assert (row["label"], row["method"]) == ("lit", method)
    assert row["probability"] > 0.9
    assert row["error"] is None if method == "grad_cam" else row["error"] <= 0.05
    values = np.load(tmp_path / "out" / row["attributions"])
    assert values.shape == (SIDE, SIDE)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[CAUSE] = True
    # Regions follow edges of the picture: some pixels of the neighbourhood are among theirs.
    times = {"integrated_gradients": 8, "xrai": 4, "grad_cam": 8, "kernel_shap": 3}[method]
    assert np.abs(values[inside]).mean() > times * np.abs(values[~inside]).mean()
    with Image.open(tmp_path / "out" / row["overlay"]) as drawn:
        assert drawn.size == (SIDE, SIDE)


@pytest.mark.parametrize("baseline", ["black", "grey", "white", "black_and_white"])
def test_what_pixels_add_is_the_probability_less_the_baselines(
    model: Path, photograph: Path, baseline: Any
) -> None:
    explained = ExplainedModel(model)
    pixels = explained.pixels(photograph.read_bytes())
    few = ExplainSettings(baseline=baseline, steps=2, largest_error=0.02)
    values, error, steps = by_colour(explained, pixels, 1, few)
    greys: dict[str, list[float]] = {
        "black": [0],
        "grey": [127.5],
        "white": [255],
        "black_and_white": [0, 255],
    }
    begins = [np.full_like(pixels, grey) for grey in greys[baseline]]
    due = explained.probabilities(pixels[np.newaxis])[0, 1] - np.mean(
        explained.probabilities(np.stack(begins))[:, 1]
    )
    assert error <= 0.02
    assert values.sum() == pytest.approx(float(due), abs=0.02 * abs(float(due)) + 1e-6)
    assert steps >= 2
    rough, _, _ = by_colour(explained, pixels, 1, few.model_copy(update={"largest_error": 0.999}))
    if steps > 2:  # so few were not enough
        assert abs(rough.sum() - due) > abs(values.sum() - due)


def test_kernel_shap_gives_the_shapley_values_of_what_adds_up() -> None:
    """Where each region adds its own, whatever else is shown, that is its value."""
    generator = np.random.default_rng(3)
    own = generator.normal(size=12)
    shown = _coalitions(12, 200, 0)
    assert shown.shape == (200, 12)
    assert (shown[:100] == ~shown[100:]).all()
    assert (shown.any(axis=1) & ~shown.all(axis=1)).all()
    assert _solved(shown, shown @ own, own.sum()) == pytest.approx(own)
    # Two that only count together share it.
    together = (shown[:, 0] & shown[:, 1]).astype(float)
    found = _solved(shown, together, 1.0)
    assert found[:2] == pytest.approx([0.5, 0.5], abs=0.05)
    assert found.sum() == pytest.approx(1)


def test_another_models_explanation_is_another(
    model: Path, photograph: Path, tmp_path: Path
) -> None:
    """The sanity check of Adebayo et al., NeurIPS 2018: random parameters, other attributions."""
    generator = np.random.default_rng(7)
    random = save_model(tmp_path / "random", generator.normal(0, 1e-3, (SIDE, SIDE, 3)))
    found: list[Any] = []
    for folder in (model, random):
        explained = ExplainedModel(folder)
        pixels = explained.pixels(photograph.read_bytes())
        found.append(by_colour(explained, pixels, 1, ExplainSettings())[0].sum(axis=2).ravel())
    assert abs(spearmanr(*found).statistic) < 0.5
    again = by_colour(ExplainedModel(model), pixels, 1, ExplainSettings())[0].sum(axis=2).ravel()
    assert spearmanr(found[0], again).statistic == pytest.approx(1)


def test_one_label_or_the_other(model: Path, photograph: Path, tmp_path: Path) -> None:
    settings = ExplainSettings(method="integrated_gradients", label="dark")
    (row,) = explained(model, [photograph], settings, tmp_path / "out")["explained"]
    assert row["label"] == "dark"
    values = np.load(tmp_path / "out" / row["attributions"])
    assert values[CAUSE].sum() < -0.5  # its light speaks against it


def test_what_cannot_be_read_is_left_out_with_a_reason(
    model: Path, photograph: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    (folder / "a.png").write_bytes(photograph.read_bytes())
    (folder / "b.jpg").write_bytes(b"no photograph")
    settings = ExplainSettings(method="integrated_gradients")
    files = sorted(folder.iterdir())
    found = explained(model, files, settings, tmp_path / "out")
    assert [Path(row["image"]).name for row in found["explained"]] == ["a.png"]
    (failed,) = found["failed"]
    assert Path(failed["image"]).name == "b.jpg"
    assert "the model cannot read it" in failed["reason"]
    with pytest.raises(StepError, match="none of 1 photographs could be explained: the model can"):
        explain_files(model, [folder / "b.jpg"], settings, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_explained_is_one_line(
    model: Path, photograph: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(SettingsError, match=r"no label 'lid'; did you mean 'lit'\?"):
        explain_files(model, [photograph], ExplainSettings(label="lid"), out)
    with pytest.raises(SettingsError, match="there is no file"):
        explain_files(model, [tmp_path / "nowhere.png"], ExplainSettings(), out)
    with pytest.raises(StepError):
        explain_files(tmp_path, [photograph], ExplainSettings(), out)
    bare = save_model(tmp_path / "bare", np.zeros((SIDE, SIDE, 3)), signatures=False)
    with pytest.raises(StepError, match="has no signature 'xai_preprocess'; train it again"):
        explain_files(bare, [photograph], ExplainSettings(), out)
    plain = save_model(tmp_path / "plain", np.zeros((SIDE, SIDE, 3)), features=False)
    with pytest.raises(StepError, match=r"no signature 'xai_features'.*another explain\.method"):
        explain_files(plain, [photograph], ExplainSettings(method="grad_cam"), out)
    assert not out.exists()


def write_examples(folder: Path, photographs: list[Path]) -> Path:
    """An examples artifact whose test split holds some photographs."""
    folder.mkdir()
    with (folder / "test-00000-of-00001.tfrecord").open("wb") as shard:
        for number, file in enumerate(photographs):
            example = {"image_id": f"id{number}", "image_path": f"{number}.png"}
            write_record(shard, serialized_example(example | {"image_bytes": file.read_bytes()}))
    content = {"labels": ["dark", "lit"], "counts": {"test": len(photographs)}, "columns": {}}
    write_manifest(folder, examples_format.KIND, content)
    return folder


def test_the_report_shows_the_worst_mistakes_explained(
    model: Path, photograph: Path, tmp_path: Path
) -> None:
    examples = write_examples(tmp_path / "examples", [photograph] * 3)
    page = "".join(
        [EXPLANATION_LEGEND, *(f"<p>{explanation_mark(f'id{n}')}</p>" for n in (2, 0, 1))]
    )
    (tmp_path / "report").write_text(page)
    explain(
        *(examples, model, tmp_path / "report"),
        ExplainSettings(method="grad_cam", mistakes=2),
        explanations=tmp_path / "explanations",
        explained_report=tmp_path / "explained",
    )
    shown = (tmp_path / "explained").read_text()
    assert marked_for_explanation(shown) == ["id1"]  # the surest two are explained
    assert shown.count("<img src=") == 2
    assert "green speaks for the answer" in shown
    stored = json.loads((tmp_path / "explanations" / "manifest.json").read_text())
    assert [row["image_id"] for row in stored["explained"]] == ["id2", "id0"]
    assert not (tmp_path / "explanations" / SPECIFICATION_FILE).exists()  # Vertex has no Grad-CAM


def test_a_report_without_mistakes_stays_as_it_is(
    model: Path, photograph: Path, tmp_path: Path
) -> None:
    (tmp_path / "report").write_text("<p>none</p>")
    explain(
        *(write_examples(tmp_path / "examples", [photograph]), model, tmp_path / "report"),
        ExplainSettings(),
        explanations=tmp_path / "explanations",
        explained_report=tmp_path / "explained",
    )
    assert (tmp_path / "explained").read_text() == "<p>none</p>"
    assert (tmp_path / "explanations" / SPECIFICATION_FILE).exists()
