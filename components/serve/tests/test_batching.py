"""Requests that come together share a call, and none can tell."""

import concurrent.futures
import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest

from components.serve.calls.batching import Batches
from components.serve.errors import RequestError
from components.serve.settings import ServeSettings
from components.serve.telemetry.request_record import recorded
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.test_status import infer
from components.serve.tests.tf_serving_client import arrays, predict, request

pytestmark = pytest.mark.slow

IMAGES = [photograph(seed) for seed in range(16)]


class Counted:
    """A signature that notes how many instances each of its calls has, and can be held up."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature
        self.structured_input_signature = signature.structured_input_signature
        self.structured_outputs = signature.structured_outputs
        self.sizes: list[int] = []
        self.goes_on = threading.Event()
        self.called = threading.Event()

    def __call__(self, **inputs: Any) -> Any:
        self.sizes.append(len(next(iter(inputs.values()))))
        self.called.set()
        assert self.goes_on.wait(30)
        return self._signature(**inputs)


@pytest.fixture(scope="module")
def signatures(model):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(model))
    yield loaded.signatures
    del loaded


def objects(*values: bytes) -> Any:
    return np.array(values, dtype=object)


def ask_together(settings: ServeSettings, signature: Counted, values: list[Any]) -> list[Any]:
    """The answer or the error of each, all asked while a first request is at work."""
    batches = Batches(settings)
    name = next(iter(signature.structured_input_signature[1]))

    def ask(value: Any) -> Any:
        try:
            return batches.call(signature, {name: value})
        except RequestError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(len(values) + 1) as threads:
        first = threads.submit(ask, values[0])
        assert signature.called.wait(30)
        others = [threads.submit(ask, value) for value in values]
        while settings.batch_size > 1 and sum(map(len, batches._queues.values())) < len(values):
            time.sleep(0.01)
        signature.goes_on.set()
        assert not isinstance(first.result(), RequestError)
        return [other.result() for other in others]


def test_those_that_wait_share_a_call(signatures, direct):
    signature = Counted(signatures["serving_default"])
    answers = ask_together(ServeSettings(), signature, [objects(image) for image in IMAGES])
    assert signature.sizes == [1, 16]
    for image, answer in zip(IMAGES, answers, strict=True):
        alone = direct(image_bytes=[image])
        assert answer.keys() == alone.keys()
        np.testing.assert_allclose(answer["probabilities"], alone["probabilities"], atol=1e-5)
        assert answer["label"].tolist() == alone["label"].tolist()


def test_a_bad_image_fails_alone(signatures, direct):
    values = [objects(image) for image in IMAGES]
    values[7] = objects(IMAGES[7][:300])
    answers = ask_together(ServeSettings(), Counted(signatures["serving_default"]), values)
    assert str(answers[7]).startswith("instance 0: jpeg::Uncompress failed")
    for seed in (seed for seed in range(16) if seed != 7):
        alone = direct(image_bytes=[IMAGES[seed]])["probabilities"]
        np.testing.assert_allclose(answers[seed]["probabilities"], alone, atol=1e-5)


def test_a_call_has_no_more_than_a_batch_and_than_a_request_may_have(signatures):
    signature = Counted(signatures["serving_default"])
    values = [objects(*IMAGES[:3])] * 6
    answers = ask_together(ServeSettings(batch_size=8), signature, values)
    assert [len(answer["label"]) for answer in answers] == [3] * 6
    assert signature.sizes == [3, 6, 6, 6]
    signature = Counted(signatures["serving_default"])
    ask_together(ServeSettings(max_pixels=30 * 20 * 4), signature, [objects(IMAGES[0])] * 6)
    assert signature.sizes == [1, 4, 2]


def test_large_requests_and_other_signatures_are_called_alone(signatures, direct):
    signature = Counted(signatures["serving_default"])
    ask_together(ServeSettings(batch_size=1), signature, [objects(IMAGES[0])] * 3)
    assert signature.sizes == [1] * 4
    signature = Counted(signatures["serving_default"])
    ask_together(ServeSettings(batch_size=2), signature, [objects(*IMAGES[:2])] * 3)
    assert signature.sizes == [2] * 4
    signature = Counted(signatures["busy"])  # one total for all its rows
    batches = Batches(ServeSettings())
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        rounds = {"rounds": np.array([1], np.int32)}
        asked = [threads.submit(batches.call, signature, rounds) for _ in range(4)]
        signature.goes_on.set()
        assert [each.result()["total"].item() for each in asked] == [64.0] * 4
    assert signature.sizes == [1] * 4


def test_a_call_waits_for_those_that_are_on_their_way_only(signatures):
    signature = Counted(signatures["serving_default"])
    signature.goes_on.set()
    batches = Batches(ServeSettings(batch_wait_ms=1000))
    image = {"image_bytes": objects(IMAGES[0])}
    batches.call(signature, image)
    with batches.expecting():
        began = time.monotonic()
        batches.call(signature, image)
        assert time.monotonic() - began < 0.9
    assert signature.sizes == [1, 1]
    threads = concurrent.futures.ThreadPoolExecutor(1)
    with batches.expecting(), batches.expecting(), threads:
        first = threads.submit(batches.call, signature, image)
        time.sleep(0.1)
        batches.call(signature, image)
        first.result()
    assert signature.sizes == [1, 1, 2]


def test_nothing_is_kept_of_what_was_answered(signatures):
    signature = Counted(signatures["serving_default"])
    signature.goes_on.set()
    batches = Batches(ServeSettings())
    batches.call(signature, {"image_bytes": objects(IMAGES[0])})
    with pytest.raises(RequestError):
        batches.call(signature, {"image_bytes": objects(b"no image")})
    assert not batches._queues


def test_an_error_of_our_own_leaves_nobody_waiting(signatures):
    class Broken(Counted):
        def __call__(self, **inputs: Any) -> Any:
            if len(inputs["image_bytes"]) > 1:
                raise MemoryError("too much")
            return super().__call__(**inputs)

    signature = Broken(signatures["serving_default"])
    batches = Batches(ServeSettings())
    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        asked = [
            threads.submit(batches.call, signature, {"image_bytes": objects(IMAGES[0])})
            for _ in range(5)
        ]
        assert signature.called.wait(30)
        while sum(map(len, batches._queues.values())) < 4:
            time.sleep(0.01)
        signature.goes_on.set()
        errors = [each.exception(30) for each in asked]
    assert sum(isinstance(error, MemoryError) for error in errors) == 1
    assert sum(error is None for error in errors) == 4


def test_all_doors_answer_together_as_alone(server, direct):
    """One of 16 requests has a bad image; the doors take turns."""
    bad = IMAGES[3][:300]

    def over_grpc(image: bytes) -> Any:
        response = predict(server, request("flowers", image_bytes=[image]))
        return arrays(response)["probabilities"]

    def over_rest(image: bytes) -> Any:
        response = server.predict({"instances": [b64(image)]})
        assert response.status_code == 200, response.json()["error"]
        return [response.json()["predictions"][0]["probabilities"]]

    def over_v2(image: bytes) -> Any:
        response = infer(server, "image_bytes", [image])
        return next(o for o in response.outputs if o.name == "probabilities").as_numpy()

    doors = [over_grpc, over_rest, over_v2]

    def ask(number: int) -> Any:
        try:
            return doors[number % 3](bad if number % 16 == 3 else IMAGES[number % 16])
        except (grpc.RpcError, AssertionError) as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(96)))
    for number, answer in enumerate(answers):
        if number % 16 == 3:
            assert "instance 0: jpeg::Uncompress failed" in answer
        else:
            expected = direct(image_bytes=[IMAGES[number % 16]])["probabilities"]
            np.testing.assert_allclose(answer, expected, atol=1e-5)


def test_those_whose_clients_have_gone_are_not_called(signatures):
    """Neither the one that leads the next call nor one behind it."""
    signature = Counted(signatures["serving_default"])
    batches, records = Batches(ServeSettings()), {}

    def ask(number: int) -> Any:
        with recorded(()) as records[number]:
            return batches.call(signature, {"image_bytes": objects(IMAGES[number])})

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        first = threads.submit(ask, 0)
        assert signature.called.wait(30)
        others = []
        for number in range(1, 5):
            others.append(threads.submit(ask, number))
            while sum(map(len, batches._queues.values())) < number:
                time.sleep(0.01)
        records[1].abandoned = records[3].abandoned = True
        signature.goes_on.set()
        errors = [other.exception(30) for other in others]
    assert first.exception() is None
    assert [str(error) for error in errors] == ["nobody waits for the answer", "None"] * 2
    assert signature.sizes == [1, 2]
    assert not batches._queues


def test_large_requests_take_turns_with_others(signatures, direct):
    signature = Counted(signatures["serving_default"])
    values = [objects(*IMAGES[:7]), objects(IMAGES[8]), objects(IMAGES[9])]
    answers = ask_together(ServeSettings(batch_size=3), signature, values)
    assert max(signature.sizes) == 3
    assert sum(signature.sizes) == 7 + 7 + 1 + 1
    for value, answer in zip(values, answers, strict=True):
        alone = direct(image_bytes=value)
        np.testing.assert_allclose(answer["probabilities"], alone["probabilities"], atol=1e-5)
        assert answer["label"].tolist() == alone["label"].tolist()
