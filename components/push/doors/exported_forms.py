"""A model's further forms, TensorFlow Lite and ONNX, in a fresh process as on a device.

Pixels come from the model's own `xai_preprocess`: a form takes no encoded photographs.
"""

import base64
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from components.push.doors.door import Answer
from components.push.doors.model_process import ModelProcess
from components.push.doors.numbers import probabilities_of
from darkroom.artifacts.exported import ExportedForm
from darkroom.artifacts.saved_model import plain_path
from darkroom.errors import StepError

_PROGRAM = """
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import numpy as np
import tensorflow as tf
from darkroom.artifacts.exported import LOADERS

preprocess = tf.saved_model.load(sys.argv[2]).signatures["xai_preprocess"]
forms = {name: LOADERS[name](Path(path)) for name, path in json.loads(sys.argv[3]).items()}
print(json.dumps("ready"), file=answers, flush=True)
for line in sys.stdin:
    name, value = json.loads(line)
    try:
        image = tf.constant([base64.b64decode(value)])
        pixels = preprocess(image_bytes=image)["input_images"].numpy()
        answer = np.asarray(forms[name](np.round(pixels).astype(np.uint8)))[0].tolist()
    except Exception as error:
        answer = str(error)
    print(json.dumps(answer), file=answers, flush=True)
"""
_ROOT = str(Path(__file__).resolve().parents[3])


class ExportedForms(ModelProcess):
    """A process with all forms of a model, used in a `with` statement.

    Args:
        model: The SavedModel directory.
        forms: Its further forms.

    Attributes:
        doors: One a form, in order.
    """

    def __init__(self, model: Path, forms: Sequence[ExportedForm]) -> None:
        paths = json.dumps({form.name: str(form.path) for form in forms})
        title = " and ".join(form.name for form in forms)
        super().__init__(title, model, _PROGRAM, [_ROOT, str(plain_path(model)), paths])
        self.doors = [_Form(self, form.name) for form in forms]


@dataclasses.dataclass
class _Form:
    """The door to one form."""

    process: ModelProcess
    form: str

    @property
    def name(self) -> str:
        """For people."""
        return f"exported form {self.form}"

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        given = self.process.call(self.form, base64.b64encode(image).decode())
        if isinstance(given, str):
            raise StepError(f"{self.name}: {(given.splitlines() or ['no answer'])[0]}")
        return Answer(probabilities_of(given, self.name), None)

    def close(self) -> None:
        """The process ends with its `with` statement."""
