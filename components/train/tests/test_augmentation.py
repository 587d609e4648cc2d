"""Augmentation: every change is applied, reproducible and correct."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from components.train.augmentation import build_augmentation
from components.train.augmentation.settings import AugmentationSettings
from components.train.augmentation.stateless_random import StatelessRandom
from components.train.data.batches import WorkerShard, training_stream
from components.train.tests.conftest import Transformed
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples

pytestmark = pytest.mark.slow

Array = npt.NDArray[Any]
COUNT, HEIGHT, WIDTH, LABELS = 16, 20, 24, 4

CHANGES: dict[str, dict[str, Any]] = {
    "flip": {"flip": True},
    "rotation": {"rotation": 0.1},
    "translation": {"translation": 0.2},
    "zoom": {"zoom": 0.3},
    "crop": {"crop": 0.4},
    "contrast": {"contrast": 0.5},
    "brightness": {"brightness": 0.3},
    "saturation": {"saturation": 0.8},
    "rand_augment": {"rand_augment": 2, "rand_augment_magnitude": 0.5},
    "cutout": {"cutout": 0.6},
    "grid_mask": {"grid_mask": 0.5},
    "mixup": {"mixup": 1.0},
    "cutmix": {"cutmix": 1.0},
}
ALL = {key: value for change in CHANGES.values() for key, value in change.items()}
ALL["rand_augment"] = 1  # the one change that takes long to trace


@pytest.fixture(scope="module")
def images() -> Array:
    """Smooth photographs without equal pixels in a row, and without grey 128."""
    generator = np.random.default_rng(5)
    rows = np.linspace(0, 90, HEIGHT)[:, np.newaxis, np.newaxis]
    columns = np.linspace(0, 70, WIDTH)[:, np.newaxis]
    base = generator.integers(0, 60, (COUNT, 1, 1, 3)) + rows + columns
    made = (base + generator.integers(0, 20, (COUNT, HEIGHT, WIDTH, 3))).astype(np.uint8)
    made[made == 128] = 127
    return made


@pytest.fixture(scope="module")
def labels() -> Array:
    return np.eye(LABELS, dtype=np.float32)[np.arange(COUNT) % LABELS]


def batches(
    images: Array, labels: Array, settings: dict[str, Any], count: int = 2, seed: int = 3
) -> list[tuple[Array, Array]]:
    """The batch, augmented as in the first steps of a training."""
    import tensorflow as tf

    augment = build_augmentation(AugmentationSettings.model_validate(settings))

    def changed(positions: Any) -> Any:
        return augment(images, labels, StatelessRandom(seed, positions, len(images)))

    positions = tf.data.Dataset.range(count * len(images)).batch(len(images), drop_remainder=True)
    dataset = positions.map(changed, num_parallel_calls=tf.data.AUTOTUNE)
    result = [(images.numpy(), labels.numpy()) for images, labels in dataset]
    for pixels, mixed in result:
        assert pixels.dtype == np.uint8
        assert pixels.shape == images.shape
        assert mixed.shape == labels.shape
    return result


@pytest.mark.parametrize("name", [*CHANGES, "all"])
def test_it_changes_pixels_reproducibly_and_every_batch_otherwise(
    images: Array, labels: Array, name: str
) -> None:
    settings = ALL if name == "all" else CHANGES[name]
    count = 8 if name == "rand_augment" else 2  # one of whose changes is none
    made = batches(images, labels, settings, count)
    again = batches(images, labels, settings, count)
    for (pixels, mixed), (same, same_mixed) in zip(made, again, strict=True):
        assert np.array_equal(pixels, same)
        assert np.array_equal(mixed, same_mixed)
        assert mixed.sum(1) == pytest.approx(1)
        assert (pixels != images).any()
    assert not np.array_equal(made[0][0], made[1][0])
    other = batches(images, labels, settings, count, seed=4)
    assert any(not np.array_equal(a, b) for (a, _), (b, _) in zip(made, other, strict=True))
    if name not in ("mixup", "cutmix", "all"):
        assert np.array_equal(made[0][1], labels)


def test_images_of_a_batch_are_changed_differently(images: Array, labels: Array) -> None:
    alike = np.repeat(images[:1], COUNT, axis=0)
    for name in CHANGES:
        if name in ("mixup", "cutmix", "rand_augment"):
            continue
        pixels, _ = batches(alike, labels, CHANGES[name], count=1)[0]
        different = {image.tobytes() for image in pixels}
        assert len(different) == 2 if name == "flip" else len(different) >= COUNT // 4, name


def test_no_settings_change_nothing(images: Array, labels: Array) -> None:
    pixels, same = batches(images, labels, {}, count=1)[0]
    assert np.array_equal(pixels, images)
    assert np.array_equal(same, labels)


def test_flip_mirrors_some_and_leaves_the_others(images: Array, labels: Array) -> None:
    pixels, _ = batches(images, labels, {"flip": True}, count=1)[0]
    mirrored = [np.array_equal(p, i[:, ::-1]) for p, i in zip(pixels, images, strict=True)]
    same = [np.array_equal(p, i) for p, i in zip(pixels, images, strict=True)]
    assert [a != b for a, b in zip(mirrored, same, strict=True)] == [True] * COUNT
    assert 2 < sum(mirrored) < COUNT - 2
    # With a resampling at hand it is part of that, and just as exact.
    warped, _ = batches(images, labels, {"flip": True, "zoom": 1e-6}, count=1)[0]
    assert np.abs(warped.astype(int) - pixels).max() <= 1


def test_a_shift_moves_the_picture() -> None:
    image = np.zeros((COUNT, HEIGHT, WIDTH, 3), np.uint8)
    image[:, 10, 12] = 255
    pixels, _ = batches(image, np.eye(COUNT), {"translation": 0.25}, count=1)[0]
    rows, columns = np.indices((HEIGHT, WIDTH))
    weights = pixels[..., 0] / pixels[..., 0].sum((1, 2), keepdims=True)
    down, right = (weights * rows).sum((1, 2)) - 10, (weights * columns).sum((1, 2)) - 12
    assert np.abs(down).max() <= HEIGHT * 0.25 + 0.5
    assert np.abs(right).max() <= WIDTH * 0.25 + 0.5
    assert down.std() > 1
    assert right.std() > 1


def test_a_crop_keeps_a_part_of_the_picture() -> None:
    """Pixels hold their position: none comes from beyond the edge, and none is stretched."""
    rows, columns = np.indices((41, 41)) * 6
    image = np.broadcast_to(np.stack([rows, columns, rows], -1), (COUNT, 41, 41, 3))
    pixels, _ = batches(image.astype(np.uint8), np.eye(COUNT), {"crop": 0.5}, count=1)[0]
    ends = pixels.astype(float)[:, [0, -1], [0, -1], :2] / 6  # [N, first and last, (row, column)]
    kept = ends[:, 1] - ends[:, 0]
    assert kept[:, 0] == pytest.approx(kept[:, 1], abs=0.5)
    assert kept.min() >= 20 - 0.5
    assert np.ptp(kept) > 5
    assert (ends[:, 0].min(), ends[:, 1].max()) >= (0, 0)
    assert ends[:, 1].max() <= 40
    assert np.ptp(ends[:, 0], axis=0).min() > 3
    # Evenly spaced in between: nothing is mirrored at an edge.
    inner = pixels.astype(float)[:, :, 20, 0]
    assert np.abs(np.diff(inner, 2, axis=1)).max() <= 2


@pytest.mark.parametrize("flip", [False, True])
def test_a_rotation_keeps_distances_from_the_centre(flip: bool) -> None:
    image = np.zeros((COUNT, 33, 41, 3), np.uint8)
    image[:, 16, 28] = 255  # 8 to the right of the centre
    pixels, _ = batches(image, np.eye(COUNT), {"rotation": 0.5, "flip": flip}, count=1)[0]
    rows, columns = np.indices((33, 41))
    weights = pixels[..., 0] / pixels[..., 0].sum((1, 2), keepdims=True)
    down, right = (weights * rows).sum((1, 2)) - 16, (weights * columns).sum((1, 2)) - 20
    assert np.hypot(down, right) == pytest.approx(8, abs=0.5)
    assert np.ptp(np.arctan2(down, right)) > np.pi


def test_colours_change_as_the_formulas_say(images: Array, labels: Array) -> None:
    def grey(pixels: Array) -> Array:
        return pixels.astype(float) @ np.array([0.299, 0.587, 0.114])

    brighter, _ = batches(images, labels, {"brightness": 0.1}, count=1)[0]
    shift = brighter.astype(int) - images
    inside = (brighter > 0) & (brighter < 255)
    for change, kept in zip(shift, inside, strict=True):
        assert np.ptp(change[kept]) == 0
        assert abs(change[kept][0]) <= 26
    vivid, _ = batches(images, labels, {"saturation": 0.5}, count=1)[0]
    assert grey(vivid) == pytest.approx(grey(images), abs=2)
    away, _ = batches(images, labels, {"contrast": 0.2}, count=1)[0]
    assert grey(away).mean((1, 2)) == pytest.approx(grey(images).mean((1, 2)), abs=1)
    factors = grey(away).std((1, 2)) / grey(images).std((1, 2))
    assert factors.min() > 0.75
    assert factors.max() < 1.25
    assert factors.std() > 0.05


def test_cutout_hides_one_rectangle(images: Array, labels: Array) -> None:
    pixels, _ = batches(images, labels, {"cutout": 0.5}, count=1)[0]
    for pixel, image in zip(pixels, images, strict=True):
        hidden = (pixel == 128).all(-1)
        assert np.array_equal(pixel[~hidden], image[~hidden])
        rows, columns = hidden.any(1), hidden.any(0)
        assert np.array_equal(hidden, rows[:, np.newaxis] & columns)
        assert rows.sum() <= HEIGHT / 2
        assert columns.sum() <= WIDTH / 2


def test_grid_mask_hides_the_part_it_is_set_to() -> None:
    image = np.zeros((64, 60, 60, 3), np.uint8)
    pixels, _ = batches(image, np.eye(64), {"grid_mask": 0.5}, count=1)[0]
    part = (pixels[..., 0] == 128).mean((1, 2))
    masked = part > 0
    assert 0.3 < masked.mean() < 0.7
    assert part[masked].mean() == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize("name", ["mixup", "cutmix", "both"])
def test_labels_are_mixed_as_the_pixels_are(name: str) -> None:
    """Images of one tone each, from which their fraction in a mixture is read."""
    tones = np.arange(COUNT) * 15 + 5
    images = np.broadcast_to(tones[:, None, None, None], (COUNT, 30, 30, 3)).astype(np.uint8)
    settings = {"mixup": 0.5, "cutmix": 0.5} if name == "both" else {name: 0.5}
    blended = 0
    made = batches(images, np.eye(COUNT, dtype=np.float32), settings, count=8)
    for pixels, labels in made:
        assert labels.sum(1) == pytest.approx(1)
        assert pixels.mean((1, 2, 3)) == pytest.approx(labels @ tones, abs=0.51)
        assert labels.min() >= 0
        parts = np.diag(labels)
        assert parts.std() > 0.2
        blended += not np.isin(pixels, tones).all()
    assert blended == {"mixup": 8, "cutmix": 0}.get(name, blended)
    if name == "both":
        assert 0 < blended < 8


@pytest.mark.parametrize("alpha", [0.001, 0.2, 1.0])
def test_parts_of_mixtures_have_their_distribution(alpha: float) -> None:
    import tensorflow as tf

    parts = StatelessRandom(1, tf.range(20_000, dtype=tf.int64), 20_000).beta(alpha).numpy()
    assert parts.min() >= 0
    assert parts.max() <= 1
    assert parts.mean() == pytest.approx(0.5, abs=0.01)
    assert parts.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.004)


@pytest.mark.parametrize("name", ["_equalize", "_stretch_contrast", "_solarize", "_posterize"])
def test_changes_of_rand_augment_that_have_a_known_result(images: Array, name: str) -> None:
    import tensorflow as tf

    from components.train.augmentation import rand_augment

    change = getattr(rand_augment, name)
    draws = StatelessRandom(1, tf.range(COUNT, dtype=tf.int64), COUNT)
    flat = np.full((COUNT, HEIGHT, WIDTH, 3), 77, np.uint8)
    if name in ("_equalize", "_stretch_contrast"):
        changed = change(tf.constant(images)).numpy()
        assert (changed.min((1, 2)) == 0).all()
        assert (changed.max((1, 2)) == 255).all()
        assert np.array_equal(change(tf.constant(flat)), flat)
        if name == "_equalize":
            quarters = np.quantile(changed, [0.25, 0.5, 0.75], axis=(1, 2))
            assert quarters.mean((1, 2)) == pytest.approx([64, 128, 191], abs=8)
    elif name == "_posterize":
        changed = change(tf.constant(images), draws, 4).numpy()
        assert (changed <= images).all()
        assert {len(np.unique(image)) for image in changed} != {256}
        assert ((images - changed) < 16).all()
    else:
        changed = change(tf.constant(images), draws, 0.9).numpy()
        assert ((changed == images) | (changed == 255 - images)).all()
        assert (changed != images).any()


def test_an_example_is_changed_alike_however_many_devices_share_the_batch(
    transformed: Transformed,
) -> None:
    source = read_transformed_examples(transformed.records)
    graph = read_transform_graph(transformed.graph)
    of_each = {key: value for key, value in ALL.items() if key not in ("mixup", "cutmix")}
    settings = AugmentationSettings.model_validate(of_each)

    def taken(worker: int, workers: int, step: int = 0) -> Array:
        share = WorkerShard(16, workers, worker, workers)
        stream = training_stream(source, graph, share, 7, step, settings)
        return next(iter(stream))[0].numpy()

    whole = taken(0, 1)
    halves = [taken(worker, 2) for worker in (0, 1)]
    assert np.array_equal(whole[0::2], halves[0])
    assert np.array_equal(whole[1::2], halves[1])
    plain = next(iter(training_stream(source, graph, WorkerShard(16), 7)))[0].numpy()
    assert not np.array_equal(whole, plain)


def test_a_stream_that_starts_later_gives_what_it_would_have_given(
    transformed: Transformed,
) -> None:
    source = read_transformed_examples(transformed.records)
    graph = read_transform_graph(transformed.graph)
    settings = AugmentationSettings.model_validate(ALL)
    first = training_stream(source, graph, WorkerShard(16), 7, 0, settings)
    later = training_stream(source, graph, WorkerShard(16), 7, 9, settings)
    (images, labels), (same, same_labels) = next(iter(first.skip(9))), next(iter(later))
    assert np.array_equal(images, same)
    assert np.array_equal(labels, same_labels)
