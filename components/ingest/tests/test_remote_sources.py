"""Sources in a bucket: label folders, tables, and photographs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from components.ingest.sources.rows import Row
from components.ingest.tests.bucket import Bucket
from components.ingest.tests.pictures import encoded, gradient
from components.ingest.tests.test_sources import read
from darkroom.errors import SettingsError


@pytest.fixture
def bucket() -> Iterator[dict[str, bytes]]:
    yield Bucket.objects
    Bucket.objects.clear()


def test_a_bucket_of_label_folders(bucket: dict[str, bytes]) -> None:
    for name in ("rose/1.jpg", "daisy/a/2.jpg", "rose/", "rose/.hidden", "top.jpg"):
        bucket[f"shelf://b/flowers/{name}"] = b""
    bucket["shelf://b/flowers-old/rose/3.jpg"] = b""
    table = read("shelf://b/flowers/")
    assert table.rows == [
        Row("daisy/a/2.jpg", "shelf://b/flowers/daisy/a/2.jpg", "daisy"),
        Row("rose/1.jpg", "shelf://b/flowers/rose/1.jpg", "rose"),
    ]
    assert [r.row["image"] for r in table.rejections] == ["top.jpg"]
    assert read("shelf://b/flowers") == table


@pytest.mark.parametrize("data", ["shelf://b/x/part-1.csv", "shelf://b/x/part-*.csv"])
def test_tables_in_a_bucket(bucket: dict[str, bytes], data: str) -> None:
    lines = "image,label\nimages/1.jpg,a\nshelf://c/2.jpg,a\n/3.jpg,b\n"
    bucket["shelf://b/x/part-1.csv"] = lines.encode("utf-8-sig")
    bucket["shelf://b/x/y/part-2.csv"] = b"not within the pattern"
    rows = read(data).rows
    assert [row.location for row in rows] == [
        "shelf://b/x/images/1.jpg",
        "shelf://c/2.jpg",
        "/3.jpg",
    ]
    assert [row.image for row in rows] == ["images/1.jpg", "shelf://c/2.jpg", "/3.jpg"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("shelf://b/none", "data path shelf://b/none does not exist, or is empty"),
        ("shelf://b/none.csv", "data path shelf://b/none.csv does not exist"),
        ("shelf://b/none-*.jsonl", r"data path shelf://b/none-\*.jsonl does not exist"),
        ("shelf://locked/flowers", r"cannot read shelf://locked/flowers.*: 403 Forbidden: no"),
        ("shelf://locked/t.csv", "cannot read shelf://locked/t.csv: 403 Forbidden"),
        ("shelf://b/secret.csv", "cannot read shelf://b/secret.csv: 403 Forbidden"),
        ("shelf://b/lost.csv", "cannot read shelf://b/lost.csv: connection reset"),
        (
            "nosuchscheme://b/t.csv",
            "cannot read nosuchscheme://b/t.csv: Protocol not known: nosuchscheme",
        ),
    ],
)
def test_a_bucket_that_cannot_be_read_is_one_clear_line(
    bucket: dict[str, bytes], data: str, message: str
) -> None:
    bucket["shelf://b/secret.csv"] = bucket["shelf://b/lost.csv"] = b"image,label\n1.jpg,a\n"
    with pytest.raises(SettingsError, match=message) as raised:
        read(data)
    assert "\n" not in str(raised.value)


def test_photographs_in_a_bucket_become_examples(
    bucket: dict[str, bytes], run_ingest: Callable[..., Any]
) -> None:
    lines = []
    for number in range(30):
        split = ("train", "VALIDATE", "Test")[number % 3]
        bucket[f"shelf://b/images/{number}.png"] = encoded(gradient(number), "PNG")
        labels = ["rose", "tulip"][: 1 + number % 2]
        lines.append(
            {"image": f"images/{number}.png", "label": labels, "split": split, "n": number}
        )
    lines[4]["n"] = None
    lines.append({"image": "images/none.png", "label": ["rose"]})
    bucket["shelf://b/t.jsonl"] = "\n".join(map(json.dumps, lines)).encode()
    ingested = run_ingest("shelf://b/t.jsonl")
    assert ingested.examples.counts == {"train": 10, "valid": 10, "test": 10}
    assert ingested.examples.columns == {"n": "int"}
    assert ingested.reasons == {"images/none.png": "missing_file"}
    numbers = {r["image_path"][0].decode(): r.get("n") for r in ingested.all_records}
    assert numbers.pop("images/4.png") is None
    assert all(path == f"images/{n[0]}.png" for path, n in numbers.items() if n)
    for split, records in ingested.records.items():
        for record in records:
            number = int(record["image_path"][0].decode().removeprefix("images/").split(".")[0])
            assert ("train", "valid", "test")[number % 3] == split
            assert record["labels"] == [b"rose", b"tulip"][: 1 + number % 2]
