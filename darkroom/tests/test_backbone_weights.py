"""Weights of backbones: from files, from the download host, and what does not fit."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from darkroom.backbones.registry import build_backbone
from darkroom.errors import StepError

pytestmark = pytest.mark.slow

SIZE = (32, 32)


def mobilenet(weights: str | Path, alpha: float = 0.35) -> None:
    build_backbone("MobileNetV2", SIZE, alpha, str(weights))


def test_published_weights_load(mobilenet_weights: Path) -> None:
    backbone = build_backbone("MobileNetV2", (96, 96), 0.35, str(mobilenet_weights))
    assert backbone.count_params() == 410_208
    (kernel, *_) = backbone.layers[1].get_weights()
    assert kernel.shape == (3, 3, 3, 16)
    assert np.abs(kernel).max() > 0.3  # random weights of this layer stay below


def test_the_layer_that_differs_is_named_with_both_shapes(mobilenet_weights: Path) -> None:
    said = (
        r"does not fit MobileNetV2 .*: layer Conv1 takes \(3, 3, 3, 32\), "
        r"the file has \(3, 3, 3, 16\) as Conv1$"
    )
    with pytest.raises(StepError, match=said):
        mobilenet(mobilenet_weights, alpha=1.0)
    # Another number of layers, of which the first is another already.
    with pytest.raises(StepError, match=r"layer conv1 takes .*, the file has .* as Conv1$"):
        build_backbone("MobileNet", SIZE, None, str(mobilenet_weights))


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_every_format_of_keras_loads_or_says_what_differs(tmp_path: Path, ending: str) -> None:
    import keras

    def network(filters: int, layers: int = 2) -> keras.Model:
        inputs = keras.Input((*SIZE, 3))
        x = keras.layers.Conv2D(8, 3, name="first")(inputs)
        for number in range(1, layers):
            x = keras.layers.Conv2D(filters, 3, name=f"next_{number}")(x)
        return keras.Model(inputs, x)

    from darkroom.backbones.weights import load_weights

    path = tmp_path / f"stored{ending}"
    stored = network(4)
    stored.save_weights(path) if ending == ".weights.h5" else stored.save(path)
    same = network(4)
    load_weights(same, "mine", path)
    assert np.array_equal(same.get_weights()[2], stored.get_weights()[2])
    said = r"layer next_1 takes \(3, 3, 8, 5\).*the file has \(3, 3, 8, 4\)"
    with pytest.raises(StepError, match=said) as caught:
        load_weights(network(5), "mine", path)
    assert len(str(caught.value)) < 400
    with pytest.raises(StepError, match=r"next_2|next_1"):
        load_weights(network(4, layers=3), "mine", path)
    if ending == ".h5":
        with pytest.raises(StepError, match=r"the file also has a layer next_1 of \(3, 3, 8, 4\)"):
            load_weights(network(4, layers=1), "mine", path)


def test_what_is_no_weights_file_is_said_so(tmp_path: Path) -> None:
    for name in ("text.h5", "text.txt", "text.keras"):
        path = tmp_path / name
        path.write_bytes(b"no weights")
        with pytest.raises(StepError, match=rf"weights: {path} does not fit"):
            mobilenet(path)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that stands in for the download host, for a Keras with an empty cache."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "host"))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "host").mkdir()
    (tmp_path / "cache").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr("keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", address)
    large = "keras.src.applications.nasnet.NASNET_MOBILE_WEIGHT_PATH_NO_TOP"
    monkeypatch.setattr(large, f"{address}NASNet-mobile-no-top.h5")
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path / "cache"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path / "host"
    server.shutdown()
    thread.join()
    server.server_close()


FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"


def test_imagenet_weights_download_or_are_put_where_the_error_says(
    host: Path, tmp_path: Path, mobilenet_weights: Path
) -> None:
    def build() -> None:
        build_backbone("MobileNetV2", (96, 96), 0.35, "imagenet")

    place = tmp_path / "cache" / "models" / FILE
    said = rf"cannot download the imagenet weights of MobileNetV2 .*put the file at {place},"
    with pytest.raises(StepError, match=said) as caught:
        build()
    assert "\n" not in str(caught.value)
    shutil.copy(mobilenet_weights, place)
    build()
    place.unlink()
    shutil.copy(mobilenet_weights, host / FILE)
    build()
    assert place.is_file()


def test_the_place_is_right_where_the_hosts_name_is_another(host: Path, tmp_path: Path) -> None:
    place = tmp_path / "cache" / "models" / "nasnet_mobile_no_top.h5"
    with pytest.raises(StepError, match=f"put the file at {place},"):
        build_backbone("NASNetMobile", (32, 32), None, "imagenet")


def test_no_network_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "keras.src.applications.mobilenet_v2.BASE_WEIGHT_PATH", "http://no-such-host.invalid/"
    )
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    place = tmp_path / "models" / FILE
    with pytest.raises(StepError, match=rf"URL fetch failure .*put the file at {place},"):
        build_backbone("MobileNetV2", (96, 96), 0.35, "imagenet")
