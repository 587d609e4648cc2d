"""Every format becomes bytes that TensorFlow decodes as a person sees the photograph."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageFilter, ImageOps

from components.ingest.tests.pictures import encoded, gradient
from darkroom.artifacts.rejected import Reason, RejectedError
from darkroom.images.headers import PlainJpeg
from darkroom.images.photograph import read_photograph
from darkroom.thumbnails import thumbnail

pytestmark = pytest.mark.slow

PICTURE = gradient(7, (40, 30))


def deep_grey() -> Image.Image:
    ramp = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    return Image.fromarray(ramp)


def animated_gif() -> bytes:
    frames = [gradient(seed, (40, 30)) for seed in (7, 8)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def rotated(orientation: int, file_format: str = "JPEG") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(PICTURE, file_format, exif=exif)


READABLE = {
    "jpeg": encoded(PICTURE, "JPEG"),
    "progressive jpeg": encoded(PICTURE, "JPEG", progressive=True),
    "grey jpeg": encoded(PICTURE.convert("L"), "JPEG"),
    "cmyk jpeg": encoded(PICTURE.convert("CMYK"), "JPEG"),
    "rotated jpeg": rotated(6),
    "mirrored jpeg": rotated(2),
    "upright jpeg with exif": rotated(1),
    "png": encoded(PICTURE, "PNG"),
    "grey png": encoded(PICTURE.convert("L"), "PNG"),
    "palette png": encoded(PICTURE.convert("P"), "PNG"),
    "black and white png": encoded(PICTURE.convert("1"), "PNG"),
    "transparent png": encoded(PICTURE.convert("RGBA"), "PNG"),
    "rotated png": rotated(3, "PNG"),
    "16-bit png": encoded(deep_grey(), "PNG"),
    "gif": encoded(PICTURE, "GIF"),
    "animated gif": animated_gif(),
    "bmp": encoded(PICTURE, "BMP"),
    "palette bmp": encoded(PICTURE.convert("P"), "BMP"),
    "grey bmp": encoded(PICTURE.convert("L"), "BMP"),
    "webp": encoded(PICTURE, "WEBP"),
    "rotated webp": rotated(8, "WEBP"),
    "tiff": encoded(PICTURE, "TIFF"),
}


def seen(data: bytes) -> npt.NDArray[np.uint8]:
    """The pixels as an image viewer shows them."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode.startswith("I"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, -1)
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("data", READABLE.values(), ids=READABLE.keys())
def test_tensorflow_decodes_what_a_person_sees(data: bytes) -> None:
    import tensorflow as tf

    photograph = read_photograph(data)
    decoded = tf.io.decode_image(photograph.image_bytes, channels=3, expand_animations=False)
    expected = seen(data)
    assert (photograph.height, photograph.width) == expected.shape[:2] == decoded.shape[:2]
    # CMYK has as many ways to RGB as there are printers, and JPEG loses a little each time.
    difference = np.abs(decoded.numpy().astype(int) - expected.astype(int))
    assert difference.mean() < 4


@pytest.mark.parametrize("name", ["jpeg", "grey jpeg", "png", "upright jpeg with exif"])
def test_bytes_that_need_no_conversion_stay_as_they_are(name: str) -> None:
    photograph = read_photograph(READABLE[name])
    assert photograph.image_bytes == READABLE[name]
    assert not photograph.converted


def zero_size_png() -> bytes:
    data = bytearray(READABLE["png"])
    data[16:20] = b"\0\0\0\0"
    return bytes(data)


def zero_size_jpeg() -> bytes:
    data = bytearray(READABLE["jpeg"])
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 7] = b"\0\0"
    return bytes(data)


def zero_size_gif() -> bytes:
    data = bytearray(READABLE["gif"])
    data[6:8] = b"\0\0"
    return bytes(data)


def zero_size_bmp() -> bytes:
    data = bytearray(READABLE["bmp"])
    data[18:22] = b"\0\0\0\0"
    return bytes(data)


LARGE_JPEG = encoded(gradient(3, (200, 200)), "JPEG")
LARGE_PNG = encoded(Image.effect_noise((200, 200), 80), "PNG")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY_FILE),
        (b"not a picture, though its name says so\n", Reason.NOT_AN_IMAGE),
        (LARGE_JPEG[: len(LARGE_JPEG) // 2], Reason.TRUNCATED),
        (LARGE_JPEG[:-2], Reason.TRUNCATED),
        (LARGE_JPEG[:3], Reason.NOT_AN_IMAGE),
        (LARGE_PNG[: len(LARGE_PNG) // 2], Reason.TRUNCATED),
        (zero_size_png(), Reason.ZERO_SIZE),
        (zero_size_jpeg(), Reason.ZERO_SIZE),
        (zero_size_gif(), Reason.ZERO_SIZE),
        (zero_size_bmp(), Reason.ZERO_SIZE),
    ],
    ids=[
        "empty",
        "text",
        "half a jpeg",
        "a jpeg without its end marker",
        "the first bytes of a jpeg",
        "half a png",
        "no width png",
        "no height jpeg",
        "no width gif",
        "no width bmp",
    ],
)
def test_what_is_no_whole_image_is_rejected_with_its_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(RejectedError) as raised:
        read_photograph(data)
    assert raised.value.reason == reason
    assert raised.value.detail


def test_what_is_accepted_always_decodes() -> None:
    """A fuzz of cut and damaged JPEGs: accepted or rejected, never one that stops training."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    outcomes = {"accepted": 0, "rejected": 0}
    for _ in range(300):
        damaged = bytearray(READABLE["jpeg"])
        for place in generator.integers(2, len(damaged), 3):
            damaged[place] = generator.integers(256)
        data = bytes(
            damaged[: generator.integers(2, len(damaged) + 1) if generator.random() < 0.3 else None]
        )
        try:
            photograph = read_photograph(data)
        except RejectedError:
            outcomes["rejected"] += 1
            continue
        outcomes["accepted"] += 1
        image = tf.io.decode_image(photograph.image_bytes, channels=3, expand_animations=False)
        assert image.shape[:2] == (photograph.height, photograph.width)
    assert min(outcomes.values()) > 30


def outcome(data: bytes) -> Any:
    try:
        return read_photograph(data)
    except RejectedError as error:
        return error.reason


@pytest.mark.slow
def test_plain_jpegs_are_read_as_pillow_reads_them(
    flowers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the way that asks Pillow nothing: whole, cut, and turned photographs."""
    files = sorted(flowers.glob("*/*.jpg"))[::15]
    data = [file.read_bytes() for file in files]
    data += [whole[: len(whole) * 2 // 3] for whole in data[:20]]
    for number in range(1, 10):
        exif = Image.Exif()
        exif[0x0112] = number
        data.append(encoded(gradient(number), "JPEG", exif=exif))
    data += [encoded(gradient(1).convert(mode), "JPEG") for mode in ("L", "CMYK")]
    plain = list(map(outcome, data))
    quickly = sum(PlainJpeg.of(each) is not None for each in data)
    assert quickly > 0.9 * len(data)
    monkeypatch.setattr(PlainJpeg, "of", lambda data: None)
    assert list(map(outcome, data)) == plain


def test_brightness_and_sharpness_tell_photographs_apart() -> None:
    grey = np.full((32, 32), 40, np.uint8)
    stripes = np.tile(np.array([[0, 255]], np.uint8), (32, 16))
    dull = read_photograph(encoded(Image.fromarray(grey), "PNG"))
    sharp = read_photograph(encoded(Image.fromarray(stripes), "PNG"))
    assert dull.brightness == pytest.approx(40)
    assert dull.sharpness == 0
    assert sharp.brightness == pytest.approx(127.5)
    assert sharp.sharpness > 1000


def exif_with_a_value_of_the_wrong_type() -> bytes:
    """EXIF that says how to turn the photograph, and a unit as text, which is a number."""
    entries = ((0x0112, 3, 1, struct.pack("<H", 6)), (0x0128, 2, 2, b"2\0"))
    table = b"".join(
        struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
        for tag, kind, count, value in entries
    )
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)


def test_a_photograph_is_turned_whatever_else_its_exif_says() -> None:
    upright = encoded(gradient(3, (40, 30)), "JPEG", quality=95)
    turned = encoded(
        gradient(3, (40, 30)), "JPEG", quality=95, exif=exif_with_a_value_of_the_wrong_type()
    )
    photograph = read_photograph(turned)
    with Image.open(io.BytesIO(upright)) as image:
        expected = np.asarray(image.convert("RGB").transpose(Image.Transpose.ROTATE_270), int)
    assert (photograph.width, photograph.height) == expected.shape[1::-1]
    with Image.open(io.BytesIO(photograph.image_bytes)) as image:
        assert np.abs(np.asarray(image.convert("RGB"), int) - expected).max() < 40
    picture = thumbnail(turned, 40)
    assert picture is not None


@pytest.mark.parametrize("error", [TypeError, struct.error, RuntimeError, NotImplementedError])
def test_whatever_a_decoder_raises_is_the_row_s_reason(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error("no such thing")

    data = encoded(gradient(3, (40, 30)), "GIF")
    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(RejectedError) as caught:
        read_photograph(data)
    assert (caught.value.reason, caught.value.detail) == (Reason.CORRUPT, "no such thing")


def test_formats_that_start_programs_are_no_photographs() -> None:
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
    with pytest.raises(RejectedError) as caught:
        read_photograph(eps)
    assert caught.value.reason == Reason.NOT_AN_IMAGE


def test_a_heic_photograph_is_named() -> None:
    with pytest.raises(RejectedError, match="unsupported: a HEIC photograph: convert it to JPEG"):
        read_photograph(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500))


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_part_of_a_jpeg_with_an_end_marker_is_truncated(share: float, progressive: bool) -> None:
    """Cameras and downloaders close what they have; libjpeg warns, and paints grey."""
    whole = encoded(gradient(7, (400, 300)), "JPEG", progressive=progressive)
    part = whole[: int(len(whole) * share)] + b"\xff\xd9"
    with pytest.raises(RejectedError, match=r"truncated: .*remature end"):
        read_photograph(part)


@pytest.mark.parametrize("file_format", ["AVIF", "WEBP", "JPEG"])
def test_a_file_that_ends_in_zeros_is_truncated(file_format: str) -> None:
    whole = encoded(gradient(7, (400, 300)), file_format)
    for share in (0.3, 0.5, 0.7):
        sound = int(len(whole) * share)
        with pytest.raises(RejectedError, match=r"truncated|corrupt|not_an_image"):
            read_photograph(whole[:sound] + bytes(max(64, len(whole) - sound)))


def grey_tiff(values: npt.NDArray[Any]) -> bytes:
    return encoded(Image.fromarray(values), "TIFF")


def stored_greys(data: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(read_photograph(data).image_bytes)).convert("L"))


def test_deep_greys_become_8_bits_by_one_rule() -> None:
    """Whatever the greatest value of a photograph is."""
    ramp = np.linspace(0, 255, 40 * 30).reshape(30, 40)
    for greatest in (255, 256, 4095, 65535):
        deep = np.rint(ramp / 255 * greatest).astype(np.uint16)
        expected = (deep >> 8).astype(np.uint8)
        assert np.array_equal(stored_greys(grey_tiff(deep)), expected)
        assert np.array_equal(stored_greys(encoded(Image.fromarray(deep), "PNG")), expected)
    floats = (ramp / 255).astype(np.float32)
    assert np.array_equal(stored_greys(grey_tiff(floats)), np.rint(floats * 255).astype(np.uint8))


@pytest.mark.parametrize(
    "values",
    [
        np.full((8, 8), 1.5, np.float32),
        np.full((8, 8), -0.1, np.float32),
        np.full((8, 8), np.nan, np.float32),
        np.full((8, 8), 70_000, np.int32),
    ],
)
def test_greys_without_a_range_are_named(values: npt.NDArray[Any]) -> None:
    with pytest.raises(RejectedError, match=r"unsupported: greys are .*save 8 or 16 bits"):
        read_photograph(grey_tiff(values))


def test_what_is_transparent_is_white() -> None:
    hidden = Image.new("RGBA", (40, 30), (200, 0, 0, 0))
    for file_format in ("PNG", "WEBP"):
        photograph = read_photograph(encoded(hidden, file_format))
        stored = np.asarray(Image.open(io.BytesIO(photograph.image_bytes)).convert("RGB"))
        assert photograph.converted
        assert (stored == 255).all()
        assert photograph.brightness == 255


def test_a_byte_as_orientation_turns_and_a_broken_exif_does_not() -> None:
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01%s\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    for kind, size in ((b"\x01", (30, 40)), (b"\x03", (30, 40)), (b"\x02", (40, 30))):
        photograph = read_photograph(encoded(PICTURE, "JPEG", exif=block % kind))
        assert (photograph.width, photograph.height) == size


def test_a_blurred_photograph_is_less_sharp(flowers: Path) -> None:
    """By the area under the curve: 0.73 when this was measured at 64 pixels."""
    sharp, blurred = [], []
    for file in sorted(flowers.glob("*/*.jpg"))[::20]:
        with Image.open(file) as image:
            soft = image.filter(ImageFilter.GaussianBlur(1))
            sharp.append(read_photograph(file.read_bytes()).sharpness)
            blurred.append(read_photograph(encoded(soft, "JPEG", quality=95)).sharpness)
    assert np.mean(np.array(sharp)[:, None] > np.array(blurred)) > 0.9
