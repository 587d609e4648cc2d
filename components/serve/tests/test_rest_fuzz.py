"""Whatever a client sends over REST, it is answered as `/openapi.json` says."""

import json
from collections import Counter
from typing import Any, cast

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from components.serve.tests.fuzz import REQUESTS, seeded, unharmed
from components.serve.tests.server_process import Server
from components.serve.tests.small_model import b64, photograph

pytestmark = pytest.mark.slow

IMAGES = [photograph(seed, form) for seed, form in enumerate(["JPEG", "PNG", "BMP", "GIF"])]
UNKNOWN_TO_A_SCHEMA = [positive_data_acceptance]
"""Checks that do not hold: that bytes are a photograph is nothing that a schema says."""


def test_every_route_answers_as_the_document_says(server: Server) -> None:
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    operations = [cast(Any, found).ok() for found in document.get_all_operations()]
    kinds = [(each, mode) for each in operations for mode in GenerationMode if can_be(each, mode)]
    counts: Counter[int] = Counter()
    with unharmed(server), requests.Session() as session:
        for operation, mode in kinds:

            @seeded(REQUESTS // 4 // len(kinds))
            @given(operation.as_strategy(mode))
            def each(case: Any) -> None:
                response = case.call(session=session)
                case.validate_response(response, excluded_checks=UNKNOWN_TO_A_SCHEMA)
                assert "Traceback" not in response.text
                counts[response.status_code] += 1

            each()
    print(counts, len(kinds))
    assert {200, 400, 404} <= set(counts)


def can_be(operation: Any, mode: GenerationMode) -> bool:
    """Whether an operation takes anything that could be wrong."""
    has_input = bool(len(operation.path_parameters) or len(operation.body))
    return has_input or mode is GenerationMode.POSITIVE


data = st.one_of(
    st.sampled_from(IMAGES),
    st.builds(lambda image, end: image[:end], st.sampled_from(IMAGES), st.integers(0, 900)),
    st.builds(
        lambda image, at, byte: image[:at] + bytes([byte]) + image[at + 1 :],
        st.sampled_from(IMAGES),
        st.integers(0, 500),
        st.integers(0, 255),
    ),
    st.binary(max_size=50),
)
values = st.recursive(
    st.one_of(
        st.builds(b64, data),
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=9),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(["image_bytes", "key", "examples", "filenames", "input_images", "rounds"])
rows = st.one_of(st.builds(b64, data), values, st.dictionaries(names, values, max_size=2))
signatures = st.sampled_from(
    ["", "serving_default", "with_key", "embedding", "from_examples", "xai_model", "thumbnail", "x"]
)
images = st.lists(st.builds(b64, data), min_size=1, max_size=3)
documents = st.one_of(
    st.fixed_dictionaries({"instances": images}),
    st.fixed_dictionaries(
        {"signature_name": signatures, "instances": st.one_of(values, st.lists(rows, max_size=3))}
    ),
    st.fixed_dictionaries({"signature_name": signatures, "inputs": rows}),
)


def test_no_predict_request_is_the_server_s_fault(server: Server) -> None:
    counts: Counter[int] = Counter()

    @seeded(REQUESTS // 4)
    @given(documents)
    def each(document: Any) -> None:
        response = server.predict(json.dumps(document).encode())
        assert response.status_code in (200, 400, 403, 413), (response.status_code, response.text)
        if response.status_code != 200:
            assert 0 < len(response.json()["error"]) < 1100
        counts[response.status_code] += 1

    with unharmed(server):
        each()
    assert counts[200] > REQUESTS // 120
    assert counts[400] > REQUESTS // 120
