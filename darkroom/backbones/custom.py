"""A user's own backbone: a function, given as `module:function`."""

import importlib
from collections.abc import Callable
from typing import Any

from darkroom.errors import StepError
from darkroom.settings import nearest


def build_custom(path: str, image_size: tuple[int, int]) -> Any:
    """Calls the function that a path names.

    Args:
        path: `module:function`; the function takes `image_size` and returns a keras.Model from
            pixels of mean 0 and variance 1, float32 [N, H, W, 3], to a feature map [N, h, w, D]
            or to an embedding [N, D].
        image_size: Height and width in pixels.

    Returns:
        The keras.Model.

    Raises:
        StepError: There is no such module or function, or it returns something else. What the
            function itself raises passes, with its traceback.
    """
    import keras

    model = _function(path)(image_size)
    if not isinstance(model, keras.Model):
        raise StepError(f"backbone {path} returned {type(model).__name__}, not a keras.Model")
    expected = (None, *image_size, 3)
    if model.input_shape != expected:
        raise StepError(f"backbone {path} takes {model.input_shape}, not {expected}")
    if not isinstance(model.output_shape, tuple) or len(model.output_shape) not in (2, 4):
        raise StepError(
            f"backbone {path} gives {model.output_shape}, neither a feature map "
            "[N, h, w, D] nor an embedding [N, D]"
        )
    return model


def _function(path: str) -> Callable[[tuple[int, int]], Any]:
    module_name, name = path.split(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # A module that is there, and itself imports one that is not, is the user's to see.
        if not error.name or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise StepError(
            f"there is no module {error.name} for {path}: is the folder that "
            "holds it on PYTHONPATH, and in the train step's image?"
        ) from None
    function = getattr(module, name, None)
    if not callable(function):
        offered = [key for key, value in vars(module).items() if callable(value)]
        near = nearest(name, offered) if offered else ""
        raise StepError(f"backbone {path}: {module_name} has no function {name}{near}")
    result: Callable[[tuple[int, int]], Any] = function
    return result
