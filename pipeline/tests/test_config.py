"""A config is checked before anything runs."""

from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import SettingsError
from pipeline.config import config_model, load_config

ROOT = Path(__file__).parent.parent.parent
DIGITS = str(ROOT / "configs" / "digits.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_shipped_configs_are_valid(path: Path) -> None:
    assert load_config(str(path)).name == path.stem


def test_overrides_are_yaml_values() -> None:
    overrides = ["train.epochs=3", "evaluate.slices=[label, camera]", "train.weights=null"]
    overrides += ["evaluate.thresholds.accuracy=0.5", "cluster.resources.train.memory=8Gi"]
    config: Any = load_config(DIGITS, data="elsewhere", overrides=overrides)
    assert config.data == "elsewhere"
    assert config.train.epochs == 3
    assert config.train.weights == "none"
    assert config.evaluate.slices == ("label", "camera")
    assert config.cluster.resources["train"].memory == "8Gi"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "unknown setting 'train.epoch'; did you mean 'epochs'?"),
        ("trian.epochs=3", "unknown setting 'trian'; did you mean 'train'?"),
        ("train.epochs=many", "setting 'train.epochs': Input should be a valid integer"),
        ("train.backbone=MobilNetV2", "setting 'train.backbone': unknown backbone; did you mean"),
        ("train.epochs.more=3", "--set train.epochs.more: 'epochs' has no settings below it"),
        ("train.epochs", "--set train.epochs: expected key.sub=value"),
        ("cluster.images.trian=x", "no step is called 'trian'; did you mean 'train'?"),
        ("evaluate.thresholds.acuracy=0.5", "did you mean 'accuracy'"),
        ("name=My Model", "setting 'name': "),
        ("cluster.resources.train.accelerator=nvidia gpu", "expected nvidia.com/gpu (Kubeflow)"),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(DIGITS, overrides=[override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


EMBEDDINGS = [
    "transform.image_size=32",
    "transform.embeddings={backbone: MobileNetV2, alpha: 0.35, weights: w.h5}",
]
HEAD_ONLY = ["train={backbone: MobileNetV2, alpha: 0.35, weights: w.h5}"]


def test_photographs_too_small_for_the_backbone_stop_before_any_step() -> None:
    with pytest.raises(SettingsError, match="ResNet50V2 takes images of at least 32x32"):
        load_config(DIGITS, overrides=["train.backbone=ResNet50V2"])


def test_embeddings_are_a_section_that_may_be_left_out() -> None:
    assert "embeddings" not in load_config(DIGITS).arguments()["transform"]
    config = load_config(DIGITS, overrides=[*EMBEDDINGS, *HEAD_ONLY])
    given = config.arguments()["transform"]["embeddings"]
    assert given == {"backbone": "MobileNetV2", "alpha": 0.35, "weights": "w.h5"}
    assert load_config(DIGITS, overrides=["transform.embeddings=null"]) == load_config(DIGITS)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.backbone=MobileNet", "'train.backbone' is MobileNet, and 'transform.embeddings.ba"),
        ("train.alpha=1", "'train.alpha' is 1.0, and 'transform.embeddings.alpha' is 0.35"),
        ("train.weights=imagenet", "'train.weights' is imagenet, and 'transform.embeddings.weigh"),
        ("train.fine_tune_epochs=2", "train.fine_tune_epochs is not for embeddings"),
        ("train.augmentation.flip=true", "train.augmentation is not for embeddings"),
        ("train.standardize=true", "train.standardize is not for embeddings"),
        ("transform.crop_margin=0.1", "crop_margin is not for embeddings"),
    ],
)
def test_train_must_agree_with_the_embeddings(override: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_config(DIGITS, overrides=[*EMBEDDINGS, *HEAD_ONLY, override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_every_section_is_a_pipeline_argument() -> None:
    arguments = load_config(DIGITS).arguments()
    no_arguments = {"name", "cluster", "tune", "explain", "predict", "monitor", "notify"}
    no_arguments |= {"trigger", "job"}
    assert set(arguments) == set(config_model().model_fields) - no_arguments
    tuned = load_config(DIGITS, overrides=["tune.space.epochs=[3, 5]"]).arguments()
    assert set(tuned) == {*arguments, "tune"}


def test_a_key_that_is_there_twice_and_a_value_that_is_not(tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text(f"{Path(DIGITS).read_text()}\ntrain: {{epochs: 3}}\n")
    with pytest.raises(SettingsError, match=r"twice.yaml does not parse: 'train' is there twice"):
        load_config(str(twice))
    with pytest.raises(SettingsError, match=r"--set train.epochs=: the value is missing"):
        load_config(DIGITS, overrides=["train.epochs="])
