"""A model loaded by plain TensorFlow, in a fresh process that imports nothing of ours."""

import base64
import dataclasses
import tempfile
from pathlib import Path

from components.push.doors.door import Answer
from components.push.doors.model_process import ModelProcess
from components.push.doors.numbers import probabilities_of
from darkroom.artifacts.model import FROM_FILENAMES, SERVING_DEFAULT
from darkroom.artifacts.saved_model import plain_path
from darkroom.errors import StepError

_PROGRAM = """
import tensorflow as tf

signatures = tf.saved_model.load(sys.argv[1]).signatures
print(json.dumps("ready"), file=answers, flush=True)
for line in sys.stdin:
    name, value = json.loads(line)
    try:
        (argument,) = signatures[name].structured_input_signature[1]
        tensor = tf.constant([base64.b64decode(value)])
        answer = signatures[name](**{argument: tensor})["probabilities"].numpy()[0].tolist()
    except Exception as error:
        answer = str(error)
    print(json.dumps(answer), file=answers, flush=True)
"""


class PlainTensorflow(ModelProcess):
    """A process with a model, used in a `with` statement.

    Args:
        model: The SavedModel directory.

    Attributes:
        doors: Its signatures that take photographs, or their names.
    """

    def __init__(self, model: Path) -> None:
        super().__init__("plain TensorFlow", model, _PROGRAM, [str(plain_path(model))])
        self.doors = [_Signature(self, name) for name in (SERVING_DEFAULT, FROM_FILENAMES)]


@dataclasses.dataclass
class _Signature:
    """The door to one signature."""

    process: ModelProcess
    signature: str

    @property
    def name(self) -> str:
        """For people."""
        return f"plain TensorFlow, {self.signature}"

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        if self.signature == FROM_FILENAMES:
            with tempfile.NamedTemporaryFile() as file:
                file.write(image)
                file.flush()
                given = self._call(file.name.encode())
        else:
            given = self._call(image)
        if isinstance(given, str):
            raise StepError(f"{self.name}: {(given.splitlines() or ['no answer'])[0]}")
        return Answer(probabilities_of(given, self.name), None)

    def _call(self, value: bytes) -> object:
        return self.process.call(self.signature, base64.b64encode(value).decode())

    def close(self) -> None:
        """The process ends with its `with` statement."""
