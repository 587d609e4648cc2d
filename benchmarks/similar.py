"""Image search: recall and time beside an exact search, and whether changed copies are found.

The made embeddings are as a network gives them: 64 dimensions behind the 1,280, 500 groups, never
negative, with some noise. The photographs are the flowers; the network has the weights of ImageNet
(`DARKROOM_BENCHMARK_MODEL` names another model).
"""

import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageEnhance

from benchmarks.evaluate import exported_model
from benchmarks.ingest import SCALE
from benchmarks.photographs import FLOWERS, SHARED
from benchmarks.processes import spread, table, verdict
from components.search.index import PhotographIndex, build_index
from darkroom.artifacts.batch_predictions import EMBEDDING, KIND
from darkroom.artifacts.manifest import write_manifest

Floats = npt.NDArray[np.float32]

MADE, SIZE, NEAREST, QUERIES = round(100_000 * SCALE), 1280, 10, 500
CHANGED = 500
"""Photographs of which changed copies are looked for."""
_DIGEST = "0" * 64
_WEIGHTS = SHARED / "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
_BATCH = 32


def measure() -> str:
    """Searches made embeddings, then photographs."""
    with tempfile.TemporaryDirectory() as folder:
        return f"{_made(Path(folder))}\n\n{_photographs(Path(folder))}"


def _made(folder: Path) -> str:
    embeddings, queries = made_embeddings(MADE, 0), made_embeddings(QUERIES, 1)
    _write_predictions(folder / "made", [str(number) for number in range(MADE)], embeddings)
    started = time.perf_counter()
    build_index(folder / "made", folder / "index")
    built = time.perf_counter() - started
    index = PhotographIndex(folder / "index", _DIGEST)
    index.nearest(queries[0], NEAREST)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    taken, exact_taken, hits = [], [], 0
    for query in queries:
        started = time.perf_counter()
        found = index.nearest(query, NEAREST)
        taken.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        exact = np.argpartition(-(unit @ query), NEAREST)[:NEAREST]
        exact_taken.append((time.perf_counter() - started) * 1000)
        hits += len({int(one.image) for one in found} & set(exact.tolist()))
    recall = hits / (NEAREST * QUERIES)
    rows = [
        [f"recall@{NEAREST} of an exact search", f"{recall:.4f}", verdict(recall, 0.98, True)],
        ["a query: ms", spread(taken), verdict(statistics.median(taken), 2, False)],
        ["an exact search in memory: ms", spread(exact_taken), ""],
        ["building the index: s", f"{built:.0f}", ""],
    ]
    return table([f"{MADE:,} made embeddings of {SIZE}", "measured", "must be"], rows)


def made_embeddings(count: int, seed: int) -> Floats:
    """Embeddings as a network gives them, float32 [count, SIZE]."""
    world = np.random.default_rng(0)
    centres = world.normal(size=(500, 64)).astype(np.float32)
    outwards = world.normal(size=(64, SIZE)).astype(np.float32) / 8
    draws = np.random.default_rng(seed + 1)
    inner = centres[draws.integers(0, len(centres), count)]
    inner += 0.7 * draws.standard_normal(inner.shape, np.float32)
    made: Floats = (inner @ outwards).astype(np.float32, copy=False)
    made += 0.05 * draws.standard_normal(made.shape, np.float32)
    return made.clip(0, 6)


CHANGES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG of quality 50": lambda image: _jpeg(image, 50),
    "the middle 80 % of its area": lambda image: _jpeg(_middle(image, 0.8**0.5)),
    "the middle 80 % of each side": lambda image: _jpeg(_middle(image, 0.8)),
    "30 % brighter": lambda image: _jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "30 % darker": lambda image: _jpeg(ImageEnhance.Brightness(image).enhance(0.7)),
}


def _photographs(folder: Path) -> str:
    """How often a changed photograph finds itself first among all flowers."""
    import tensorflow as tf

    named = os.environ.get("DARKROOM_BENCHMARK_MODEL")
    model = Path(named) if named else exported_model(folder / "model", str(_WEIGHTS))
    loaded = tf.saved_model.load(str(model))  # held, since its variables live with it
    signature = loaded.signatures[EMBEDDING]

    def embeddings(images: Sequence[bytes]) -> Floats:
        batches = [images[at : at + _BATCH] for at in range(0, len(images), _BATCH)]
        given = [signature(image_bytes=tf.constant(batch))[EMBEDDING] for batch in batches]
        return np.concatenate([each.numpy() for each in given])

    paths = sorted(FLOWERS.glob("*/*.jpg"))
    names = [str(path) for path in paths]
    known = embeddings([path.read_bytes() for path in paths])
    _write_predictions(folder / "flowers", names, known)
    build_index(folder / "flowers", folder / "flowers-index")
    index = PhotographIndex(folder / "flowers-index", _DIGEST)
    asked = random.Random(5).sample(paths, min(CHANGED, len(paths)))
    found = {}
    for change, changed in CHANGES.items():
        copies = embeddings([changed(Image.open(path).convert("RGB")) for path in asked])
        first = [index.nearest(copy, 1)[0].image for copy in copies]
        found[change] = statistics.mean(a == str(b) for a, b in zip(first, asked, strict=True))
    overall = statistics.mean(found.values())
    rows = [
        *([change, f"{share:.3f}", verdict(share, 0.95, True)] for change, share in found.items()),
        ["all of them", f"{overall:.3f}", verdict(overall, 0.95, True)],
    ]
    return table([f"found first of {len(paths):,} flowers", "measured", "must be"], rows)


def _middle(image: Image.Image, part: float) -> Image.Image:
    width, height = (round(side * part) for side in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _jpeg(image: Image.Image, quality: int = 92) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _write_predictions(folder: Path, images: Sequence[str], embeddings: Any) -> None:
    """A predictions artifact, as the predict step writes one."""
    folder.mkdir()
    flat = pa.array(np.ascontiguousarray(embeddings).ravel())
    lists = pa.FixedSizeListArray.from_arrays(flat, embeddings.shape[1]).cast(
        pa.list_(pa.float32())
    )
    columns = {"image": images, "image_id": images, "label": [""] * len(images), EMBEDDING: lists}
    pq.write_table(pa.table(columns), folder / "predictions-00000-of-00001.parquet")
    content = {
        "format": "parquet",
        "labels": [],
        "model": {"digest": _DIGEST, "version": None},
        "counts": {"predicted": len(images), "rejected": 0},
    }
    write_manifest(folder, KIND, content)
