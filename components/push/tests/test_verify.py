"""A version's proof: what it holds, and every door held to it."""

import contextlib
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from components.push.doors.addresses import doors_of
from components.push.doors.batch_prediction import BatchPrediction
from components.push.doors.compare import compare
from components.push.doors.door import Answer
from components.push.doors.model_server import RunningServer, model_server
from components.push.push import push
from components.push.settings import Limits, PushSettings
from components.push.tests.conftest import Candidate, save_evaluation, save_model
from components.push.validation import validate
from components.push.verify import verify_files, verify_server
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.proof import Proof, changed_files, read_proof
from darkroom.artifacts.signature import check_signature
from darkroom.errors import SettingsError, StepError
from darkroom.records.tfrecord import read_records
from darkroom.tests.signing_keys import make_keys

pytestmark = pytest.mark.slow


def run_push(candidate: Candidate, folder: Path, **settings: object) -> Path:
    given = PushSettings.model_validate({"destination": str(folder / "served"), **settings})
    return Path(push(*candidate.inputs, given, pushed=folder / "pushed"))


@pytest.fixture(scope="module")
def version(candidate: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that was pushed with everything checked, the server too."""
    return run_push(candidate, tmp_path_factory.mktemp("pushed"))


@pytest.fixture(scope="module")
def server(version: Path) -> Iterator[RunningServer]:
    with model_server(version) as running:
        yield running


def addresses(server: RunningServer) -> dict[str, str]:
    names = [door.name.split()[-1] for door in server.doors]
    return {"rest": names[0], "v2": names[1], "grpc": names[2]}


def tampered(version: Path, folder: Path, number: int, shift: float) -> Path:
    """A copy of a version whose proof wants another answer to one photograph."""
    copy = folder / "tampered" / version.name
    shutil.copytree(version, copy)
    path = copy / "proof" / "answers.json"
    answers = json.loads(path.read_text())
    answers["photographs"][number]["probabilities"][0] += shift
    path.write_text(json.dumps(answers))
    return copy


def test_a_version_carries_test_photographs_and_the_evaluations_answers(
    version: Path, candidate: Candidate
) -> None:
    proof = read_proof(version)
    assert len(proof.images) == 16
    assert proof.image_ids[:3] == ("id-0", "id-1", "id-2")
    assert proof.probabilities.shape == (16, 2)
    assert proof.probabilities.sum(1) == pytest.approx(np.ones(16), abs=1e-6)
    assert not proof.synthetic
    verdict = json.loads((version / "proof" / "verdict.json").read_text())
    assert (verdict["blessed"], verdict["metrics"]) == (True, {"accuracy": 0.4})
    assert changed_files(version) == []
    with pytest.raises(ValueError, match="with try_server false none is held"):
        PushSettings(try_server=False, limits=Limits(memory_mb=10))
    assert folder_digest(version) == folder_digest(candidate.model)


def test_a_version_is_a_folder_as_hugging_faces_hub_has_them(version: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(version / "README.md")
    assert (card.data.pipeline_tag, card.data.tags) == ("image-classification", ["darkroom"])
    assert card.text.strip() == "# Greys"


def test_tf_serving_finds_its_warm_up_requests(version: Path) -> None:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    records = list(read_records(version / "assets.extra" / "tf_serving_warmup_requests"))
    proof = read_proof(version)
    for record, image in zip(records, proof.images, strict=True):
        request = PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.signature_name == "serving_default"
        assert list(request.inputs["image_bytes"].string_val) == [image]


def test_every_door_of_the_server_gives_the_answers(version: Path, server: RunningServer) -> None:
    for address in addresses(server).values():
        for place in (version, version.parent):
            for comparison in verify_server(address, str(place)):
                assert comparison.agrees, comparison.in_words()
                assert comparison.photographs == 16


def test_a_door_that_is_off_is_named_with_the_photograph(
    version: Path, server: RunningServer, tmp_path: Path
) -> None:
    place = tampered(version, tmp_path, number=5, shift=1e-3)
    for address in addresses(server).values():
        for comparison in verify_server(address, str(place)):
            assert not comparison.agrees
            assert comparison.in_words().endswith(
                "0.001 off in a probability of photograph id-5 (at most 1e-05)"
            )
    with pytest.raises(StepError, match=r"plain TensorFlow, serving_default: 0\.001 off .* id-5"):
        validate(place, Limits(), with_server=False)


def changed_answers(version: Path, folder: Path, **values: object) -> Path:
    copy = folder / "changed" / version.name
    shutil.copytree(version, copy)
    path = copy / "proof" / "answers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return copy


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"photographs": []}, "photographs: List should have at least 1 item"),
        ({"tolerance": 1e9}, "tolerance: Input should be less than or equal to 0.001"),
        ({"format_version": 2}, "format_version: Input should be 1"),
        (
            {"photographs": [{"file": "/etc/hostname", "image_id": "a", "probabilities": [1]}]},
            "photographs.0.file: String should match pattern",
        ),
        (
            {"photographs": [{"file": "../1/x.jpg", "image_id": "a", "probabilities": [1]}]},
            "photographs.0.file: String should match pattern",
        ),
    ],
)
def test_a_proof_that_proves_nothing_is_refused(
    values: dict[str, object], message: str, version: Path, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match=re.escape(message)):
        read_proof(changed_answers(version, tmp_path, **values))


class Mumbling:
    """A door that gives no number for one photograph."""

    name = "mumbling"

    def __init__(self, proof: Proof) -> None:
        self._answers = list(proof.probabilities)
        self._asked = 0

    def ask(self, _: bytes) -> Answer:
        self._asked += 1
        given = self._answers[self._asked - 1]
        return Answer(given * np.float32("nan") if self._asked == 4 else given, None)

    def close(self) -> None:
        pass


def test_what_is_no_number_is_off(version: Path) -> None:
    proof = read_proof(version)
    comparison = compare(Mumbling(proof), lambda _: proof, proof)
    assert comparison is not None
    assert not comparison.agrees
    assert comparison.image_id == "id-3"


def test_nothing_is_pushed_where_a_limit_is_passed(candidate: Candidate, tmp_path: Path) -> None:
    message = r"start-up is .* s, over push\.limits' 0\.01: not pushed"
    with pytest.raises(StepError, match=message):
        run_push(candidate, tmp_path, limits={"startup_seconds": 0.01})
    assert not (tmp_path / "served").exists()


def test_servers_that_do_not_answer(version: Path, server: RunningServer) -> None:
    rest = addresses(server)["rest"]
    (unknown,) = verify_server(rest.replace("candidate", "other"), str(version))
    assert "answers 404: unknown model 'other'" in unknown.in_words()
    (nobody,) = verify_server("http://127.0.0.1:9/v1/models/flowers", str(version))
    assert "does not answer" in nobody.in_words()
    (grpc, *_) = verify_server("grpc://127.0.0.1:9/flowers", str(version))
    assert "does not answer" in grpc.in_words()
    with pytest.raises(SettingsError, match=r"'http://127\.0\.0\.1:9' is no model's address"):
        verify_server("http://127.0.0.1:9", str(version))


def test_a_changed_file_is_named(version: Path, tmp_path: Path) -> None:
    assert all(comparison.agrees for comparison in verify_files(str(version)))
    copy = tmp_path / "served" / "1"
    shutil.copytree(version, copy)
    (copy / "labels.txt").write_text("light\ndark\n")
    (copy / "more.txt").write_text("more")
    with pytest.raises(StepError, match=r"was changed since it was pushed: labels\.txt and 1 more"):
        verify_files(str(copy.parent))
    shutil.rmtree(copy / "proof")
    with pytest.raises(StepError, match="has no digests"):
        verify_files(str(copy.parent))
    with pytest.raises(SettingsError, match="there is no model at"):
        verify_files(str(tmp_path / "none"))


def test_made_images_stand_in_for_photographs_that_may_not_travel(
    candidate: Candidate, tmp_path: Path
) -> None:
    version = run_push(candidate, tmp_path, proof="synthetic", try_server=False)
    proof = read_proof(version)
    assert proof.synthetic
    assert all(image.startswith(b"\xff\xd8\xff") for image in proof.images)
    assert all(comparison.agrees for comparison in verify_files(str(version)))


def test_a_canary_is_held_to_its_own_proof(candidate: Candidate, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    run_push(candidate, tmp_path, try_server=False, signing_key=str(private))
    steeper = Candidate(candidate.examples, tmp_path / "model", tmp_path / "evaluation")
    save_model(steeper.model, sharpness=4.0)
    save_evaluation(steeper.evaluation, steeper.model, steeper.examples)
    run_push(steeper, tmp_path, try_server=False, traffic=50)
    served = tmp_path / "served"
    with model_server(served) as server:
        _wait_for_both(addresses(server)["rest"])
        versions = set()
        for address in addresses(server).values():
            for comparison in verify_server(address, str(served)):
                assert comparison.agrees, comparison.in_words()
                versions |= set(comparison.versions)
        (unsigned,) = verify_server(addresses(server)["rest"], str(served), public)
        assert "is not signed" in unsigned.in_words()  # the canary, whose proof is taken too
    assert versions == {1, 2}


def _wait_for_both(address: str) -> None:
    for _ in range(600):
        states = httpx.get(address).json()["model_version_status"]
        if [state["state"] for state in states] == ["AVAILABLE"] * 2:
            return
        time.sleep(0.1)
    raise AssertionError(states)


@pytest.mark.parametrize(
    ("address", "count"),
    [
        ("http://localhost:8501/v1/models/flowers", 1),
        ("https://models.example.com/team/v1/models/flowers/versions/3", 1),
        ("http://localhost:8501/v2/models/flowers/", 1),
        ("grpc://localhost:8500/flowers", 2),
        ("grpcs://models.example.com:443/flowers", 2),
    ],
)
def test_addresses_have_doors(address: str, count: int) -> None:
    doors = doors_of(address)
    assert len(doors) == count
    for door in doors:
        door.close()


def test_a_signed_version_is_checked(candidate: Candidate, version: Path, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    _, other = make_keys(tmp_path / "others")
    signed = run_push(candidate, tmp_path, signing_key=str(private), try_server=False)
    assert all(comparison.agrees for comparison in verify_files(str(signed), public))
    with pytest.raises(StepError, match=r"is not what .*public\.pem has signed"):
        verify_files(str(signed), other)
    with pytest.raises(StepError, match="is not signed"):
        verify_files(str(version), public)
    for place in (signed, version):
        with pytest.raises(SettingsError, match=r"cannot read public key .*none\.pem: No such"):
            verify_files(str(place), tmp_path / "none.pem")
    with pytest.raises(SettingsError, match="is no public key"):
        verify_files(str(signed), private)
    manifest = signed / "manifest.json"
    content = manifest.read_text()
    manifest.write_text(content.replace('"accuracy": 0.4', '"accuracy": 0.9'))
    assert changed_files(signed) == ["manifest.json"]
    with pytest.raises(StepError, match=r"is not what .*public\.pem has signed"):
        check_signature(signed, public)
    manifest.write_text(content)
    check_signature(signed, public)
    # Whoever changes a file and the digests beside it has not got the key.
    (signed / "labels.txt").write_text("light\ndark\n")
    digests = signed / "proof" / "digests.json"
    changed = json.loads(digests.read_text()) | {
        "labels.txt": hashlib.sha256(b"light\ndark\n").hexdigest()
    }
    digests.write_text(json.dumps(changed))
    with pytest.raises(StepError, match=r"is not what .*public\.pem has signed"):
        verify_files(str(signed), public)


def test_a_key_that_is_none_ends_the_push_early(candidate: Candidate, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(SettingsError, match=r"push\.signing_key .*key\.pem is no private key"):
        run_push(candidate, tmp_path, signing_key=str(tmp_path / "key.pem"), try_server=False)
    assert not (tmp_path / "served").exists()


def test_a_version_has_its_bill_of_materials(version: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (version / "proof" / "sbom.cdx.json").read_text()
    bill = json.loads(text)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    model = bill["metadata"]["component"]
    assert (model["type"], model["version"]) == ("machine-learning-model", folder_digest(version))
    parts = {part["name"]: part for part in bill["components"]}
    assert parts["saved_model.pb"]["hashes"][0]["alg"] == "SHA-256"
    assert parts["tensorflow"]["purl"].startswith("pkg:pypi/tensorflow@2.21")


def test_batch_prediction_is_asked_too(version: Path, tmp_path: Path) -> None:
    proof = read_proof(version)
    with contextlib.closing(BatchPrediction(version, [*proof.images, b"no image"])) as door:
        comparison = compare(door, lambda _: proof, proof)
        assert comparison is not None
        assert comparison.agrees
        assert comparison.photographs == len(proof.images)
        with pytest.raises(StepError, match="batch prediction rejects it"):
            door.ask(b"no image")
    with pytest.raises(StepError, match=r"^batch prediction fails: .* there is no model at "):
        BatchPrediction(tmp_path / "none", proof.images)
