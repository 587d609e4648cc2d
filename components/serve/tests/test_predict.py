"""What the predict API answers, held against calling the signatures directly."""

import base64
import concurrent.futures

import pytest

from components.serve.tests.small_model import SIZE, b64, photograph
from darkroom.records.example_proto import serialized_example

pytestmark = pytest.mark.slow

IMAGES = [photograph(seed, form) for seed, form in enumerate(["JPEG", "PNG", "BMP", "GIF"])]
ROWS = [b64(image) for image in IMAGES]
NAMED_ROWS = [{"image_bytes": row} for row in ROWS]


def rows_of(outputs):
    """The answer by row that TF Serving gives for these outputs."""
    columns = {
        name: [v.decode() if isinstance(v, bytes) else v for v in array.tolist()]
        for name, array in outputs.items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("instances", [ROWS, NAMED_ROWS], ids=["bare", "named"])
def test_rows_equal_the_signature_bit_by_bit(server, direct, instances):
    response = server.predict({"instances": instances})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"predictions": rows_of(direct(image_bytes=IMAGES))}


@pytest.mark.parametrize("inputs", [ROWS, {"image_bytes": ROWS}], ids=["bare", "named"])
def test_columns_equal_the_signature_bit_by_bit(server, direct, inputs):
    outputs = server.predict({"inputs": inputs}).json()["outputs"]
    expected = direct(image_bytes=IMAGES)
    assert outputs.keys() == expected.keys()
    assert outputs["probabilities"] == expected["probabilities"].tolist()
    assert outputs["label"] == [label.decode() for label in expected["label"]]


def test_a_single_image(server, direct):
    answer = server.predict({"instances": ROWS[:1], "signature_name": "serving_default"}).json()
    assert answer == {"predictions": rows_of(direct(image_bytes=IMAGES[:1]))}


def test_labels_come_as_text(server):
    photographs = [photograph(seed) for seed in range(40)]
    answer = server.predict({"instances": [b64(data) for data in photographs]}).json()
    assert "Löwenzahn" in {row["label"] for row in answer["predictions"]}


def test_the_body_is_json_whatever_its_content_type_says(server):
    url = "/v1/models/flowers:predict"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = f'{{"instances": [{{"b64": "{base64.b64encode(IMAGES[0]).decode()}"}}]}}'
    assert server.client.post(url, content=body, headers=headers).status_code == 200


def test_keys_pass_through(server, direct):
    keys = ["a", "ключ", "last\x00"]
    instances = [{"image_bytes": row, "key": key} for row, key in zip(ROWS[:3], keys, strict=True)]
    answer = server.predict({"signature_name": "with_key", "instances": instances}).json()
    encoded = [key.encode() for key in keys]
    assert [row["key"] for row in answer["predictions"]] == keys
    expected = direct("with_key", image_bytes=IMAGES[:3], key=encoded)
    assert answer == {"predictions": rows_of(expected)}


def test_a_key_that_is_not_text_comes_back_as_base64(server):
    instance = {"image_bytes": ROWS[0], "key": b64(b"\xff\x00")}
    answer = server.predict({"signature_name": "with_key", "instances": [instance]}).json()
    assert answer["predictions"][0]["key"] == b64(b"\xff\x00")


def test_from_filenames(server, direct, tmp_path):
    files = [tmp_path / "a.jpg", tmp_path / "b.png"]
    for file, image in zip(files, IMAGES, strict=False):
        file.write_bytes(image)
    names = [str(file) for file in files]
    answer = server.predict({"signature_name": "from_filenames", "instances": names}).json()
    assert answer == {"predictions": rows_of(direct("from_filenames", filenames=names))}


def test_from_examples(server, direct):
    examples = [
        serialized_example({"image_bytes": image, "image_id": f"id-{index}"})
        for index, image in enumerate(IMAGES)
    ]
    instances = [{"examples": b64(example)} for example in examples]
    answer = server.predict({"signature_name": "from_examples", "instances": instances}).json()
    assert answer == {"predictions": rows_of(direct("from_examples", examples=examples))}


def test_a_single_output_is_given_bare(server, direct):
    expected = direct("embedding", image_bytes=IMAGES)["embedding"].tolist()
    request = {"signature_name": "embedding"}
    assert server.predict({**request, "instances": ROWS}).json() == {"predictions": expected}
    assert server.predict({**request, "inputs": ROWS}).json() == {"outputs": expected}


def test_outputs_named_bytes_come_as_base64(server, direct):
    thumbnails = direct("thumbnail", image_bytes=IMAGES)["thumbnail_bytes"]
    answer = server.predict({"signature_name": "thumbnail", "instances": ROWS}).json()
    assert answer == {"predictions": [b64(thumbnail) for thumbnail in thumbnails]}


def test_images_as_numbers(server, direct):
    images = direct("xai_preprocess", image_bytes=IMAGES)["input_images"]
    assert images.shape == (4, SIZE, SIZE, 3)
    request = {"signature_name": "xai_model", "instances": images.tolist()}
    expected = {"predictions": rows_of(direct("xai_model", input_images=images))}
    assert server.predict(request).json() == expected


def test_others_are_answered_while_one_waits(server):
    request = {"signature_name": "busy", "instances": [100]}
    with concurrent.futures.ThreadPoolExecutor() as threads:
        slow = threads.submit(server.predict, request)
        meanwhile = 0
        while not slow.done():
            assert server.get().status_code == 200
            meanwhile += 1
    assert slow.result().json() == {"predictions": [{"rounds": 100, "total": 64.0}]}
    assert meanwhile > 10


def test_many_at_once_each_get_their_own(server, direct):
    def ask(seed):
        image = photograph(seed)
        answer = server.predict({"instances": [b64(image)]}).json()
        (row,), (expected,) = answer["predictions"], rows_of(direct(image_bytes=[image]))
        # In a call with others, the last digits may differ.
        names = ("probability", "probabilities")
        near = all(row.pop(name) == pytest.approx(expected.pop(name), abs=1e-5) for name in names)
        return near and row == expected

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(24)))
