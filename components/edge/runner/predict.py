"""Classifies photographs by the model beside this file; needs ai-edge-litert, Pillow and numpy.

python predict.py PHOTOGRAPH [PHOTOGRAPH ...] [--json]
python predict.py --page
"""

import argparse
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

# NumPy's threads, of no use here, would take half of the time from start to answer.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from darkroom.pixels import as_seen

HERE = Path(__file__).parent
MODEL, MANIFEST, PAGE = HERE / "model.tflite", HERE / "manifest.json", HERE / "page.html"
MOST_BYTES = 100_000_000
"""Largest photograph that the page takes."""
_SHOWN = 5


def pixels(photograph: bytes, preprocessing: dict[str, Any]) -> Any:
    """The pixels that the network takes.

    Each step is that of the model's own graph, with TensorFlow's rounding: Pillow resizes single
    channels of floats as TensorFlow does, but rounds too early where it is given colours.

    Args:
        photograph: A JPEG, PNG, BMP, GIF or WebP as a camera wrote it.
        preprocessing: The manifest's entry of this name.

    Returns:
        uint8 [H, W, 3].

    Raises:
        Exception: Whatever Pillow raises for what is no image.
    """
    with Image.open(io.BytesIO(photograph)) as opened:
        image = as_seen(opened).convert("RGB")
    height, width = preprocessing["resized_to"]
    kind, how = preprocessing["interpolation"], preprocessing["resize"]
    if how == "crop":
        image = _largest_centre(image, height / width)
    if how == "pad":
        resized = _padded(image, height, width, kind)
    else:
        resized = _resized(image, height, width, kind)
    rounded = np.clip(np.rint(resized), 0, 255).astype(np.uint8)
    final_height, final_width = preprocessing["image_size"]
    top, left = (height - final_height) // 2, (width - final_width) // 2
    return rounded[top : top + final_height, left : left + final_width]


def _resized(image: Image.Image, height: int, width: int, interpolation: str) -> Any:
    """float32 [height, width, 3]."""
    if interpolation == "nearest":
        rows, columns = _nearest(image.height, height), _nearest(image.width, width)
        return np.asarray(image, np.float32)[rows[:, None], columns]
    if interpolation == "area":
        rows, columns = _overlaps(image.height, height), _overlaps(image.width, width)
        planes = [rows @ np.asarray(band, np.float32) @ columns.T for band in image.split()]
    else:
        kind = {
            "bilinear": Image.Resampling.BILINEAR,
            "bicubic": Image.Resampling.BICUBIC,
            "lanczos3": Image.Resampling.LANCZOS,
        }[interpolation]
        bands = [band.convert("F") for band in image.split()]
        planes = [np.asarray(band.resize((width, height), kind)) for band in bands]
    return np.stack(planes, axis=-1)


def _nearest(before: int, after: int) -> Any:
    """Which pixel before each pixel after is, int64 [after]."""
    scale = np.float32(before) / np.float32(after)
    places = np.floor((np.arange(after, dtype=np.float32) + np.float32(0.5)) * scale)
    return np.minimum(places.astype(np.int64), before - 1)


def _overlaps(before: int, after: int) -> Any:
    """How much of each pixel after is of which pixel before, float32 [after, before]."""
    edges = np.arange(after + 1) * (before / after)
    pixel = np.arange(before)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    overlap = np.maximum(overlap, 0)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def _padded(image: Image.Image, height: int, width: int, interpolation: str) -> Any:
    """The whole image in the middle of black, float32 [height, width, 3]."""
    size = np.array([image.height, image.width], np.float32)
    wanted = np.array([height, width], np.float32)
    exact = size / (size / wanted).max()
    inner_height, inner_width = np.floor(exact).astype(int).tolist()
    top, left = np.maximum(np.floor((wanted - exact) / 2), 0).astype(int).tolist()
    canvas = np.zeros((height, width, 3), np.float32)
    inner = _resized(image, inner_height, inner_width, interpolation)
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return canvas


def _largest_centre(image: Image.Image, aspect: float) -> Image.Image:
    """The largest centred part of an image with the given height by width."""
    size, ratio = np.array([image.height, image.width], np.float32), np.float32(aspect)
    height = max(1, int(np.rint(min(size[0], size[1] * ratio))))
    width = max(1, int(np.rint(min(size[1], size[0] / ratio))))
    top, left = (image.height - height) // 2, (image.width - width) // 2
    return image.crop((left, top, left + width, top + height))


class Model:
    """The model beside this file.

    Args:
        folder: Where `model.tflite` and `manifest.json` are.
    """

    def __init__(self, folder: Path = HERE) -> None:
        self.manifest = json.loads((folder / MANIFEST.name).read_text(encoding="utf-8"))
        self.labels: list[str] = self.manifest["labels"]
        interpreter = Interpreter(model_path=str(folder / MODEL.name))
        self._run = interpreter.get_signature_runner("serving_default")
        (output,) = self._run.get_output_details().values()
        self._scale, self._zero = output["quantization"]
        self._alone = threading.Lock()  # an interpreter is for one thread at a time

    def probabilities(self, image: Any) -> Any:
        """Probabilities of pixels, uint8 [H, W, 3]; float32 [K]."""
        with self._alone:
            (whole,) = self._run(image=image[np.newaxis]).values()
        return (whole[0].astype(np.float32) - self._zero) * np.float32(self._scale)

    def answer(self, photograph: bytes) -> dict[str, Any]:
        """What a photograph is taken for.

        Args:
            photograph: An encoded image.

        Returns:
            `label` and its `probability`, `probabilities` by label and, of a model with several
            labels a photograph, `labels`: those over their thresholds.
        """
        found = self.probabilities(pixels(photograph, self.manifest["preprocessing"]))
        best = self._given(found)
        by_label = {label: float(p) for label, p in zip(self.labels, found, strict=True)}
        answer: dict[str, Any] = {"label": self.labels[best], "probability": float(found[best])}
        if (thresholds := self.manifest["thresholds"]) is not None:
            over = found >= np.array(thresholds, np.float32)
            answer["labels"] = [self.labels[place] for place in np.flatnonzero(over)]
        return answer | {"probabilities": by_label}

    def _given(self, probabilities: Any) -> int:
        """The place of the label that a photograph is given."""
        if (decision := self.manifest["decision"]) is None:
            return int(probabilities.argmax())
        positive = self.labels.index(decision["positive_label"])
        is_positive = probabilities[positive] >= np.float32(decision["threshold"])
        return positive if is_positive else 1 - positive


def serve_page(model: Model, port: int) -> None:
    """Serves a page, to this machine only, where photographs are dropped and answered."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self._send(200, PAGE.read_bytes(), "text/html; charset=utf-8")
            else:
                self._send(404, b"there is nothing here", "text/plain")

        def do_POST(self) -> None:
            stated = self.headers.get("Content-Length", "")
            if not stated.isdecimal() or int(stated) > MOST_BYTES:
                self._send(413, b"the photograph is too large, or of unknown size", "text/plain")
                return
            try:
                answer = model.answer(self.rfile.read(int(stated)))
            except Exception as error:  # decoders raise what they like
                self._send(400, _reason(error).encode(), "text/plain; charset=utf-8")
            else:
                self._send(200, json.dumps(answer).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing: a page has no log."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is no image that can be read"


def _answer_all(model: Model, files: list[str], as_json: bool) -> int:
    """Prints an answer a file; 1 where one of them has none."""
    answers, failed = [], 0
    for file in files:
        try:
            answer = model.answer(Path(file).read_bytes())
        except Exception as error:  # decoders raise what they like
            print(f"error: {file}: {_reason(error)}", file=sys.stderr)
            failed = 1
            continue
        answers.append({"file": file} | answer)
        if not as_json:
            given = answer.get("labels", [answer["label"]])
            ranked = sorted(answer["probabilities"].items(), key=lambda row: -row[1])[:_SHOWN]
            rest = "  ".join(f"{label} {probability:.3f}" for label, probability in ranked)
            print(f"{file}: {', '.join(given) or 'none'}  ({rest})", flush=True)
    if as_json:
        print(json.dumps(answers, indent=2, ensure_ascii=False))
    return failed


def main() -> int:
    """Reads the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Classify photographs.")
    parser.add_argument("photographs", nargs="*", metavar="PHOTOGRAPH")
    parser.add_argument("--json", action="store_true", help="all probabilities, for programs")
    parser.add_argument("--page", action="store_true", help="a page to drop photographs on")
    parser.add_argument("--port", type=int, default=8080, help="port of the page; 0: any")
    given = parser.parse_args()
    if not given.page and not given.photographs:
        parser.error("give photographs, or --page")
    model = Model()
    if not given.page:
        return _answer_all(model, given.photographs, given.json)
    try:
        serve_page(model, given.port)
    except OSError as error:
        print(f"error: cannot serve at port {given.port}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
