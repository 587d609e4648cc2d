# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "imagecodecs", "numpy", "opencv-python-headless", "pillow", "pyturbojpeg<2", "pyvips",
#     "pyvips-binary", "simplejpeg",
# ]
# ///
"""Which library decodes these JPEG files fastest: photographs a second of one core's time.

Usage: uv run benchmarks/peers/decoders.py PHOTOGRAPHS

PyTurboJPEG needs libturbojpeg on the machine (Debian: libturbojpeg0; its version 2 a libjpeg-turbo
newer than Debian 12's).
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pyvips
import simplejpeg
import turbojpeg
from PIL import Image

ROUNDS = 5
FAST = turbojpeg.TJFLAG_FASTDCT | turbojpeg.TJFLAG_FASTUPSAMPLE
TURBO = turbojpeg.TurboJPEG()

DECODERS: dict[str, Callable[[bytes], object]] = {
    "simplejpeg": simplejpeg.decode_jpeg,
    "simplejpeg, fast flags": lambda data: simplejpeg.decode_jpeg(
        data, fastdct=True, fastupsample=True
    ),
    "PyTurboJPEG": TURBO.decode,
    "PyTurboJPEG, fast flags": lambda data: TURBO.decode(data, flags=FAST),
    "OpenCV": lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR),
    "Pillow": lambda data: Image.open(io.BytesIO(data)).load(),
    "imagecodecs": imagecodecs.jpeg8_decode,
    "libvips": lambda data: pyvips.Image.new_from_buffer(data, "").write_to_memory(),
    "simplejpeg, grey": lambda data: simplejpeg.decode_jpeg(data, colorspace="GRAY"),
    "PyTurboJPEG, grey": lambda data: TURBO.decode(data, pixel_format=turbojpeg.TJPF_GRAY),
}


def main(photographs: str) -> None:
    """Prints the medians, the decoders in turn."""
    cv2.setNumThreads(1)
    files = [path.read_bytes() for path in sorted(Path(photographs).glob("*/*.jpg"))]
    rates: dict[str, list[float]] = {name: [] for name in DECODERS}
    for _ in range(ROUNDS + 1):
        for name, decode in DECODERS.items():
            started = time.process_time()
            for data in files:
                decode(data)
            rates[name].append(len(files) / (time.process_time() - started))
    for name, measured in rates.items():
        print(f"| {name} | {statistics.median(measured[1:]):,.0f} |")


if __name__ == "__main__":
    main(sys.argv[1])
