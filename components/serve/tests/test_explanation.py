"""Explanations over REST: each number is the difference of two answers of the model."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.serve.calls.occlusion import GRID
from components.serve.tests.server_process import Server
from components.serve.tests.small_model import SIZE, b64, photograph

pytestmark = pytest.mark.slow


def explain(server: Server, *images: bytes, path: str = "") -> Any:
    body = {"instances": [{"image_bytes": b64(image)} for image in images]}
    return server.client.post(f"/v1/models/{server.name}{path}:explain", json=body)


def test_it_says_by_how_much_the_probability_falls(server: Server, direct: Any) -> None:
    image = photograph(5)
    response = explain(server, image, path="/versions/3")
    assert response.status_code == 200, response.text
    assert response.headers["x-model-version"] == "3"
    (found,) = response.json()["explanations"]
    answer = direct(image_bytes=[image])
    assert found["label"] == answer["label"][0].decode()
    assert found["label_index"] == answer["label_index"][0]
    assert found["probability"] == pytest.approx(answer["probability"][0], abs=1e-6)
    effects = np.array(found["effects"])
    assert effects.shape == (GRID, GRID)
    picture = direct("xai_preprocess", image_bytes=[image])["input_images"]
    for row, column in ((0, 0), (3, 6), (7, 7)):
        # The picture has as many pixels as the map has cells: a part is a pixel and one around it.
        covered = picture.copy()
        rows = slice(max(0, round(row - 0.5)), round(row + 1.5))
        columns = slice(max(0, round(column - 0.5)), round(column + 1.5))
        covered[0, rows, columns] = picture.mean(axis=(0, 1, 2))
        asked = direct("xai_model", input_images=covered)
        fall = found["probability"] - asked["probabilities"][0, found["label_index"]]
        assert effects[row, column] == pytest.approx(fall, abs=1e-5)
    assert np.abs(effects).max() > 1e-3
    shown = Image.open(io.BytesIO(base64.b64decode(found["picture"]["b64"])))
    assert shown.size == (SIZE, SIZE)


@pytest.mark.parametrize(
    ("images", "status", "message"),
    [
        ((b"no photograph",), 400, "instance 0: Unknown image file format"),
        ((photograph(1), photograph(2)), 413, "one photograph a request is explained"),
        ((), 400, "'instances' must be a list of at least one instance"),
    ],
)
def test_what_cannot_be_explained(
    server: Server, images: tuple[bytes, ...], status: int, message: str
) -> None:
    response = explain(server, *images)
    assert response.status_code == status
    assert message in response.json()["error"]


def test_values_far_too_deep_are_the_clients_fault(server: Server) -> None:
    body = '{"instances": [' + 600 * "[" + 600 * "]" + "]}"
    response = server.client.post(f"/v1/models/{server.name}:explain", content=body)
    assert (response.status_code, response.json()["error"]) == (
        400,
        "the values are lists in lists, far too deep",
    )


def test_another_model_or_version_is_not_found(server: Server) -> None:
    assert explain(server, photograph(1), path="/versions/9").status_code == 404
    response = server.client.post("/v1/models/flower:explain", json={"instances": [b64(b"")]})
    assert response.status_code == 404
