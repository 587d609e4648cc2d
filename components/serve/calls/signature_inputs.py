"""What a request may name and give of a signature, whatever protocol it comes by."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from components.serve.errors import RequestError
from darkroom.settings import nearest


def check_names(names: Collection[str], specs: Mapping[str, Any], where: str = "") -> None:
    """Checks that a request names each input of a signature, and nothing else.

    Args:
        names: The names that it gives values to.
        specs: The `tf.TensorSpec` of each of the signature's inputs.
        where: What the message begins with, such as `instance 3: `.

    Raises:
        RequestError: An input is missing or unknown.
    """
    for name in names:
        if name not in specs:
            raise RequestError(f"{where}unknown input '{name}'{nearest(name, specs)}")
    for name in specs:
        if name not in names:
            raise RequestError(f"{where}input '{name}' is missing")


def check_counts(inputs: Mapping[str, Any], specs: Mapping[str, Any]) -> None:
    """Checks that all inputs of free length hold the same number of values.

    Raises:
        RequestError: They do not.
    """
    # An input of a fixed length does not hold one value an instance.
    sizes = {
        name: len(inputs[name])
        for name, spec in specs.items()
        if spec.shape.rank and spec.shape[0] is None
    }
    if 0 in sizes.values():
        raise RequestError("the request holds no values")
    if len(set(sizes.values())) > 1:
        counts = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise RequestError(f"the inputs hold different numbers of values: {counts}")


def check_outputs(names: Sequence[str], outputs: Mapping[str, Any]) -> None:
    """Checks the outputs that a request asks for.

    Raises:
        RequestError: One is unknown, or named twice.
    """
    for name in names:
        if name not in outputs:
            raise RequestError(f"unknown output '{name}'{nearest(name, outputs)}")
    if len(set(names)) < len(names):
        raise RequestError("the request names an output twice")
