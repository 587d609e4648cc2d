"""What cannot hold is refused before the first step, not after hours of training."""

from pathlib import Path

import pytest

from darkroom.errors import DarkroomError, SettingsError
from pipeline.config import load_config
from pipeline.preflight import check_inputs

ROOT = Path(__file__).parent.parent.parent
DIGITS = str(ROOT / "configs" / "digits.yaml")


def test_inputs_that_do_not_exist_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="data path nowhere does not exist"):
        check_inputs(load_config(DIGITS, data="nowhere"))
    with pytest.raises(SettingsError, match=r"data path .*part-\*.csv does not exist"):
        check_inputs(load_config(DIGITS, data=f"{tmp_path}/part-*.csv"))
    (tmp_path / "part-1.csv").write_text("image,label\na.jpg,rose\n")
    check_inputs(load_config(DIGITS, data=f"{tmp_path}/part-*.csv"))
    check_inputs(load_config(DIGITS, data="gs://bucket/flowers"))
    weights = tmp_path / "w.h5"
    config = load_config(DIGITS, overrides=[f"train.weights={weights}"])
    with pytest.raises(SettingsError, match=r"'train.weights': the file .*w\.h5 does not exist"):
        check_inputs(config)
    weights.touch()
    check_inputs(config)


def test_models_can_be_pushed_and_signed(table: Path, tmp_path: Path) -> None:
    check(table, f"push.destination={tmp_path}/new/flowers")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    for place in (
        "/proc/flowers",
        f"{tmp_path}/file/flowers",
        f"archive://{tmp_path}/file/flowers",
    ):
        with pytest.raises(
            SettingsError, match=r"'push\.destination': .*flowers cannot be written"
        ):
            check(table, f"push.destination={place}")
    with pytest.raises(SettingsError, match=r"push\.signing_key .*file is no private key"):
        check(table, f"push.signing_key={tmp_path}/file")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("image,label,camera\na.jpg,rose,old\n")
    return path


def check(data: Path | str, *overrides: str) -> None:
    check_inputs(load_config(DIGITS, data=str(data), overrides=overrides))


def test_a_run_has_something_to_train_on(table: Path) -> None:
    shares = "ingest.split={train: 0, valid: 0, test: 1}"
    with pytest.raises(SettingsError, match=r"ingest\.split\.train' is 0"):
        check(table, shares)
    with pytest.raises(SettingsError, match="both above 0, or both 0"):
        check(table, "ingest.split={train: 0, valid: 1, test: 1}")


def test_the_champion_that_is_named_is_a_model(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"evaluate\.baseline.*expected serving, none or"):
        check(table, f"evaluate.baseline={tmp_path}")


def test_slices_are_columns_of_the_data(table: Path) -> None:
    check(table, "evaluate.slices=[label, camera]")
    check(table, "evaluate.slices=[tile_top]", "ingest.tiles.size=32")
    message = "'evaluate.slices': the examples have no feature 'species' to slice by"
    with pytest.raises(SettingsError, match=message):
        check(table, "evaluate.slices=[species]")
    with pytest.raises(SettingsError, match=message):
        check("sklearn:digits", "evaluate.slices=[species]")


def test_json_lines_are_read_as_far_as_a_glance_goes(tmp_path: Path) -> None:
    """Any line may have names of its own, so that a long file does not refuse."""
    path = tmp_path / "data.jsonl"
    line = '{"image": "a.jpg", "label": "rose"}\n'
    path.write_text(line + '{"image": "b.jpg", "label": "rose", "camera": "old"}\n')
    check(path, "evaluate.slices=[camera]")
    with pytest.raises(SettingsError, match="did you mean 'camera'"):
        check(path, "evaluate.slices=[camra]")
    path.write_text(line * 2000)
    check(path, "evaluate.slices=[camera]")


def test_a_threshold_needs_labels_enough(tmp_path: Path) -> None:
    for label in ("rose", "tulip"):
        (tmp_path / "flowers" / label).mkdir(parents=True)
    threshold = "evaluate.thresholds.top_3_accuracy=0.9"
    with pytest.raises(SettingsError, match="needs more than 3 labels; there are 2"):
        check(tmp_path / "flowers", threshold)
    with pytest.raises(SettingsError, match="needs more than 3 labels; there are 2"):
        check("sklearn:digits", threshold, "ingest.labels=[0, 1]")
    # With a folder for each split, the labels are those below.
    for label in "abcd":
        (tmp_path / "layout" / "train" / label).mkdir(parents=True)
    check(tmp_path / "layout", threshold)
    check("sklearn:digits", threshold)


@pytest.mark.parametrize(
    ("rows", "changes", "message"),
    [
        ("roses", ["evaluate.costs={daisy: {rose: 5}}"], "no label 'rose'; did you mean 'roses'"),
        (
            "roses",
            ["evaluate.fairness={columns: [camera], label: rose}"],
            "evaluate.fairness.label': there is no label 'rose'",
        ),
        ("roses", ["evaluate.thresholds={top_3_accuracy: 0.1}"], "there are 2"),
        (
            "roses",
            ["evaluate.slices=[camera]", "evaluate.buckets={camera: 3}"],
            "camera is text, and only numbers have buckets",
        ),
        ("roses", ["evaluate.thresholds={micro_f1: 0.8}"], "images of several labels each"),
        (
            "roses|daisy",
            ["ingest.label_separator='|'", "evaluate.thresholds={balanced_accuracy: 0.1}"],
            "is for images of one label each",
        ),
        (
            "roses|daisy",
            ["ingest.label_separator='|'", "evaluate.check_train_labels=true"],
            "check_train_labels' is for images of one label each",
        ),
        ("roses", ["explain={label: rose}"], "explain.label': there is no label 'rose'"),
        (
            "roses",
            ["explain={method: grad_cam}", "train.backbone=linear"],
            "grad_cam needs a feature map",
        ),
        (
            "tulips",
            ["train.decision={positive_label: rose, recall: 0.9}"],
            "there is no label 'rose'",
        ),
    ],
)
def test_what_the_labels_rule_out_is_refused_before_anything_runs(
    tmp_path: Path, rows: str, changes: list[str], message: str
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"image,label,camera\na.jpg,daisy,x\nb.jpg,{rows},y\n")
    with pytest.raises(SettingsError, match=message):
        check(table, *changes)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ("nowhere.at.all:net", "there is no module nowhere.at.all"),
        ("mynets:missing", "mynets.py has no function missing"),
        ("mynets:two", "called with one argument, the tuple .height, width., and takes 2"),
        ("mynets:none", "called with one argument, the tuple .height, width., and takes 0"),
        ("mynets:named", "called with one argument, the tuple .height, width., and takes 2"),
    ],
)
def test_a_backbone_of_ones_own_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backbone: str, message: str
) -> None:
    lines = ["def one(size, depth=3): ...", "def two(height, width): ...", "def none(): ..."]
    lines += ["def named(size, *, depth): ...", "def any_number(*sizes): ..."]
    (tmp_path / "mynets.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    scratch = ["train.weights=none", "train.alpha=null"]
    with pytest.raises(DarkroomError, match=message):
        check("sklearn:digits", *scratch, f"train.backbone={backbone}")
    for sound in ("one", "any_number"):
        check("sklearn:digits", *scratch, f"train.backbone=mynets:{sound}")
