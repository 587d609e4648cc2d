"""Examples and TFRecords without TensorFlow are those that TensorFlow reads and writes."""

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record

int64 = st.integers(-(2**63), 2**63 - 1)
float32 = st.floats(width=32, allow_nan=False)
values = st.one_of(
    st.lists(st.binary(), min_size=1), st.lists(int64, min_size=1), st.lists(float32, min_size=1)
)
features = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), values, max_size=5)


@given(features)
def test_examples_come_back_as_they_went(example: dict[str, list[bytes | int | float]]) -> None:
    serialized = serialized_example(example)
    assert parsed_example(serialized) == example
    reordered = dict(reversed(list(example.items())))
    assert serialized_example(reordered) == serialized


@pytest.mark.slow
def test_tensorflow_reads_what_is_written(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "x.tfrecord"
    records = [serialized_example({"a": "é", "b": [1, -2], "c": [0.5]}), b"", b"x" * 100_000]
    with path.open("wb") as file:
        for record in records:
            write_record(file, record)
    assert list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()) == records
    assert list(read_records(path)) == records
    example = tf.train.Example.FromString(records[0])
    assert example.features.feature["a"].bytes_list.value[0].decode() == "é"
    assert list(example.features.feature["b"].int64_list.value) == [1, -2]
    assert list(example.features.feature["c"].float_list.value) == [0.5]


@pytest.mark.parametrize("damage", ["cut header", "cut record", "flipped bit", "wrong length"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.tfrecord"
    with path.open("wb") as file:
        write_record(file, b"some bytes")
    whole = bytearray(path.read_bytes())
    if damage == "cut header":
        whole = whole[:5]
    elif damage == "cut record":
        whole = whole[:-1]
    elif damage == "flipped bit":
        whole[14] ^= 1
    else:
        whole[:8] = struct.pack("<Q", 9)
    path.write_bytes(whole)
    with pytest.raises(StepError, match="make the artifact again"):
        list(read_records(path))
