"""Beam options as settings and shells give them, made safe to run here."""

from collections.abc import Sequence

_IN_MEMORY = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def beam_arguments(options: Sequence[str]) -> list[str]:
    """Beam's own arguments for a step's pipeline.

    Beam's `DirectRunner` first tries Prism, a binary it downloads; where it is asked for, or
    nothing is, the in-process runner that it falls back to is named instead.

    Args:
        options: Options in Beam's spelling, such as `["--runner", "DataflowRunner"]`.

    >>> beam_arguments(["--runner=DataflowRunner", "--region=europe-west4"])
    ['--runner=DataflowRunner', '--region=europe-west4']
    >>> beam_arguments(["--runner", "DirectRunner"])
    ['--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner']
    """
    joined: list[str] = []
    for option in options:
        if option.startswith("--"):
            joined.append(option)
        elif joined and "=" not in joined[-1]:
            joined[-1] += f"={option}"
        else:
            joined.append(option)
    runner = next((o.partition("=")[2] for o in joined if o.startswith("--runner=")), "")
    if runner not in ("", "DirectRunner"):
        return joined
    others = [option for option in joined if not option.startswith("--runner=")]
    return [f"--runner={_IN_MEMORY}", *others]
