"""The same graph as the file that a cluster runs."""

import itertools
from pathlib import Path
from typing import Literal

from components.artifacts.errors import SettingsError
from pipeline.config import Config

Target = Literal["kfp", "vertex"]


def compile_pipeline(config: Config, target: Target, file: Path) -> None:
    """Compiles the graph to pipeline IR YAML.

    Args:
        config: The validated config, whose values become the parameters' defaults.
        target: `kfp` or `vertex`.
        file: The YAML file to write; one that stands there is replaced when all is well.

    Raises:
        SettingsError: The settings do not fit the target, or the file's name is not YAML's.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"--output {file}: the name must end in .yaml")
    _check_target(config, target)
    from kfp import compiler

    from pipeline.graph import build_pipeline

    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.stem}.partial.yaml")
    try:
        compiler.Compiler().compile(build_pipeline(config), str(aside))
        # kfp heads the file with a comment that lists settings in an order new every time; without
        # it equal configs give equal files.
        lines = aside.read_text(encoding="utf-8").splitlines(keepends=True)
        content = itertools.dropwhile(lambda line: line.startswith("#"), lines)
        aside.write_text("".join(content), encoding="utf-8")
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _check_target(config: Config, target: Target) -> None:
    """Refuses accelerators named in the other target's words: they would wait for ever."""
    for step, resources in config.cluster.resources.items():
        name = resources.accelerator
        if name is not None and ("/" in name) != (target == "kfp"):
            expected = "nvidia.com/gpu" if target == "kfp" else "NVIDIA_TESLA_T4"
            raise SettingsError(
                f"cluster.resources.{step}.accelerator: {target} knows names such as "
                f"{expected}, not '{name}'"
            )


def checked_target(name: str) -> Target:
    """The target of that name.

    Raises:
        SettingsError: There is none.
    """
    targets: dict[str, Target] = {"kfp": "kfp", "vertex": "vertex"}
    if name not in targets:
        raise SettingsError(f"--target {name}: expected kfp or vertex")
    return targets[name]
