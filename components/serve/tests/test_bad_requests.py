"""Wrong requests get a 400 with one clear line, and the server lives on."""

import json

import pytest

from components.serve.tests.small_model import b64, photograph

pytestmark = pytest.mark.slow

GOOD = b64(photograph(1))
KEYED = {"image_bytes": GOOD, "key": "a"}
TRUNCATED = b64(photograph(1)[:300])

CASES = {
    "not json": (b"{not json", "the body is not JSON: "),
    "empty body": (b"", "the body is not JSON: "),
    "not utf-8": (b'{"instances": ["\xff"]}', "the body is not JSON: "),
    "nested too deep": (b"[" * 100_000, "the body is not JSON: "),
    "a list": (b"[]", "the body must be a JSON object with either 'instances' or 'inputs'"),
    "neither": ({"signature_name": "embedding"}, "either 'instances' or 'inputs'"),
    "both": ({"instances": [GOOD], "inputs": [GOOD]}, "either 'instances' or 'inputs'"),
    "no instance": ({"instances": []}, "'instances' must be a list of at least one instance"),
    "instances no list": ({"instances": GOOD}, "'instances' must be a list"),
    "inputs empty": ({"inputs": []}, "input 'image_bytes' must be a list of at least one value"),
    "inputs no list": ({"inputs": GOOD}, "input 'image_bytes' must be a list"),
    "signature no text": (
        {"signature_name": 3, "instances": [GOOD]},
        "'signature_name' must be text, got 3",
    ),
    "unknown signature": (
        {"signature_name": "with_kez", "instances": [GOOD]},
        "unknown signature 'with_kez'; did you mean 'with_key'?",
    ),
    "text for bytes": (
        {"instances": [GOOD, "plain text"]},
        'instance 1: image_bytes takes {"b64": "..."}, got "plain text"',
    ),
    "null": ({"instances": [GOOD, None]}, "instance 1: image_bytes takes"),
    "b64 no text": ({"instances": [{"b64": 5}]}, 'got {"b64": 5}'),
    "wrong base64": (
        {"instances": [GOOD, GOOD, {"b64": "@@@"}]},
        "instance 2: the b64 of image_bytes is not valid base64",
    ),
    "base64 cut short": ({"instances": [{"b64": "abc"}]}, "instance 0: the b64 of image_bytes"),
    "base64 not ascii": ({"instances": [{"b64": "é"}]}, "instance 0: the b64 of image_bytes"),
    "list for an image": (
        {"instances": [[GOOD, GOOD]]},
        "instance 0: image_bytes takes shape (), got (2,)",
    ),
    "unknown input": (
        {"instances": [{"image_bytes": GOOD}, {"image_byte": GOOD}]},
        "instance 1: unknown input 'image_byte'; did you mean 'image_bytes'?",
    ),
    "extra input": ({"instances": [KEYED]}, "instance 0: unknown input 'key'"),
    "missing input": (
        {"signature_name": "with_key", "instances": [KEYED, {"image_bytes": GOOD}]},
        "instance 1: input 'key' is missing",
    ),
    "missing column": (
        {"signature_name": "with_key", "inputs": {"key": ["a"]}},
        "'inputs': input 'image_bytes' is missing",
    ),
    "two inputs bare": (
        {"signature_name": "with_key", "instances": [GOOD]},
        "instance 0 must be an object with the inputs ",
    ),
    "columns of two lengths": (
        {"signature_name": "with_key", "inputs": {"image_bytes": [GOOD, GOOD], "key": ["a"]}},
        "the inputs hold different numbers of values: ",
    ),
    "number for text": (
        {"signature_name": "with_key", "instances": [{**KEYED, "key": 7}]},
        "instance 0: key takes text or ",
    ),
    "text for numbers": (
        {"signature_name": "busy", "instances": [1, "2"]},
        'instance 1: rounds takes int32 values, got "2"',
    ),
    "fraction for whole": (
        {"signature_name": "busy", "instances": [1.5]},
        "instance 0: rounds takes int32 values, got 1.5",
    ),
    "out of range": (
        {"signature_name": "busy", "instances": [2**40]},
        "instance 0: rounds is out of the range of int32",
    ),
    "wrong shape": (
        {"signature_name": "xai_model", "instances": [[[1, 2, 3]]]},
        "instance 0: input_images takes shape (8, 8, 3), got (1, 3)",
    ),
    "ragged": (
        {"signature_name": "xai_model", "instances": [[[1, 2, 3], [1]]]},
        "instance 0: the lists of input_images differ in length",
    ),
    "not an image": (
        {"instances": [GOOD, GOOD, b64(b"just some text")]},
        "instance 2: Unknown image file format.",
    ),
    "not an image, by column": (
        {"inputs": {"image_bytes": [GOOD, b64(b"just some text")]}},
        "instance 1: Unknown image file format.",
    ),
    "no bytes": ({"instances": [GOOD, b64(b"")]}, "instance 1: Input is empty."),
    "truncated": ({"instances": [GOOD, TRUNCATED]}, "instance 1: jpeg::Uncompress failed."),
    "not an example": (
        {"signature_name": "from_examples", "instances": [b64(b"nonsense")]},
        "instance 0: Could not parse example input",
    ),
    "not an example, nor text": (
        {"signature_name": "from_examples", "instances": [b64(photograph(1))]},
        "instance 0: Could not parse example input",
    ),
    "unencodable names": (
        b'{"instances": [{"\\ud800": {"b64": ""}}]}',
        "instance 0: unknown input '\ud800'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_is_refused_in_one_line(server, case):
    body, message = CASES[case]
    response = server.predict(body)
    assert response.status_code == 400
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    assert message in error
    assert "\n" not in error
    assert len(error) < 250


def test_the_server_lives_on_and_logs_no_traceback(server):
    for body, _ in list(CASES.values())[::6]:
        server.predict(body)
    assert server.predict({"instances": [GOOD]}).status_code == 200
    assert "Traceback" not in server.log.read_text()


def test_unknown_models_and_versions_are_not_found(server):
    content = json.dumps({"instances": [GOOD]}).encode()
    assert server.predict(content, "/versions/3").status_code == 200
    response = server.predict(content, "/versions/2")
    assert response.status_code == 404
    assert response.json() == {"error": "version 2 is not served; version 3 is"}
