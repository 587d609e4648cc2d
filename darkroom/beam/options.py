"""Beam options from settings and shells, made safe to run here, and Beam's worker errors."""

import re
from collections.abc import Mapping, Sequence

from darkroom.errors import DarkroomError, SettingsError
from darkroom.settings import nearest

_IN_MEMORY = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
_DASK = (
    # Ours stands on Beam's, which Beam knows by no short name.
    "--runner=darkroom.beam.dask.Runner",
    # A scheduler that is not there would be waited for without end.
    "--dask_connection_timeout=10",
    # A part of 128 elements, Beam's default, leaves nothing to spread.
    "--dask_partition_size=1",
)
_HERE = frozenset(
    {
        "BundleBasedDirectRunner",
        "DirectRunner",
        "FnApiRunner",
        "InteractiveRunner",
        "PrismRunner",
        "SwitchingDirectRunner",
    }
)
"""Runners whose workers are on this machine."""
_RUNNERS = _HERE | {
    "DaskRunner",
    "DataflowRunner",
    "FlinkRunner",
    "PortableRunner",
    "RenderRunner",
    "SparkRunner",
    "TestDataflowRunner",
}
_LOCAL_MASTERS = {
    "DaskRunner": ("dask_client_address", r"((tcp|tls)://)?((localhost|127\.0\.0\.1)(:\d+)?)?"),
    "FlinkRunner": ("flink_master", r"(\[(auto|local)\])?"),
    "SparkRunner": ("spark_master_url", r"(local(\[.+\])?)?"),
}
"""Runners whose workers are on this machine while such an option names no other."""


def beam_arguments(options: Sequence[str]) -> list[str]:
    """Beam's own arguments for a step's pipeline.

    Beam's `DirectRunner` first tries Prism, a binary it downloads; where it is asked for, or
    nothing is, the in-process runner that it falls back to is named instead.

    Args:
        options: Options in Beam's spelling, such as `["--runner", "DataflowRunner"]`.

    >>> beam_arguments(["--runner=DataflowRunner", "--region=europe-west4"])
    ['--runner=DataflowRunner', '--region=europe-west4']
    >>> beam_arguments(["--runner=DaskRunner", "--dask_npartitions=64"])[1:]
    ['--dask_connection_timeout=10', '--dask_partition_size=1']
    >>> beam_arguments(["--runner", "direct"])
    ['--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner']
    """
    joined = _joined(options)
    runner = runner_name(options)
    others = [option for option in joined if not option.startswith("--runner=")]
    if runner == "DaskRunner":
        # Beam takes one option or the other; in how many parts work is spread is ours to do.
        return [*_DASK, *(each for each in others if not each.startswith("--dask_npartitions"))]
    if runner not in ("", "DirectRunner"):
        return joined
    return [f"--runner={_IN_MEMORY}", *others]


def option_values(options: Sequence[str]) -> Mapping[str, str]:
    """The values of Beam options by name, without the dashes.

    >>> option_values(["--runner", "DataflowRunner", "--save_main_session"])
    {'runner': 'DataflowRunner', 'save_main_session': ''}
    """
    pairs = [option.removeprefix("--").partition("=") for option in _joined(options)]
    return {name: value for name, _, value in pairs}


def runner_name(options: Sequence[str]) -> str:
    """The short name of the runner that options ask for, or nothing.

    >>> runner_name(["--runner=apache_beam.runners.dask.dask_runner.DaskRunner"])
    'DaskRunner'
    """
    return option_values(options).get("runner", "").rpartition(".")[2]


def remote_runner(options: Sequence[str]) -> str | None:
    """The name of the runner whose workers are not on this machine; None where they are.

    Args:
        options: Options in Beam's spelling.

    >>> remote_runner(["--runner=FlinkRunner", "--flink_master=flink:8081"])
    'FlinkRunner'
    >>> remote_runner(["--runner=FlinkRunner"])  # starts a Flink of its own, here
    """
    values, runner = option_values(options), runner_name(options)
    if not runner or runner in _HERE or values.get("environment_type") == "LOOPBACK":
        return None
    # Who names a folder that workers reach has them elsewhere, if by a tunnel that begins here.
    named = "environment_type" in values or "temp_location" in values
    if runner in _LOCAL_MASTERS and not named:
        option, pattern = _LOCAL_MASTERS[runner]
        if re.fullmatch(pattern, values.get(option, "")):
            return None
    return runner


def _joined(options: Sequence[str]) -> list[str]:
    """Every option with its value in one text, as in `--runner=DirectRunner`."""
    joined: list[str] = []
    for option in options:
        if option.startswith("--"):
            joined.append(option)
        elif joined and "=" not in joined[-1]:
            joined[-1] += f"={option}"
        else:
            joined.append(option)
    return [_with_runner(option) for option in joined]


def _with_runner(option: str) -> str:
    """An option, with Beam's own name where it names a runner in short, such as `dask`."""
    flag, _, name = option.partition("=")
    if flag != "--runner" or "." in name:
        return option
    short = {known.lower().removesuffix("runner"): known for known in _RUNNERS}
    known = short.get(name.lower().removesuffix("runner"))
    if known is None:
        raise SettingsError(f"unknown runner '{name}'{nearest(name, _RUNNERS)}")
    return f"--runner={known}"


_KILLED = ("Channel closed prematurely", "Worker subprocess exited", "KilledWorker")
"""What Beam's local runner, and Dask at the fourth time, say of a worker that is gone."""


def worker_message(error: Exception) -> str | None:
    """The message of the error for people that a worker raised, wrapped in Beam's own words."""
    if any(words in repr(error) for words in _KILLED):
        return "a worker was killed, as one is that runs out of memory; run the step again"
    text = f"StepError: {error}" if isinstance(error, DarkroomError) else str(error)
    pattern = r"(?:Step|Settings)Error: (.+?)(?: \[while running|$)"
    found = re.findall(pattern, text, re.MULTILINE)
    return str(found[-1]) if found else None
