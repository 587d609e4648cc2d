"""The same graph as the file that a cluster runs."""

import itertools
from pathlib import Path

from components.train.settings import TrainSettings
from darkroom.errors import SettingsError
from darkroom.storage.atomic import atomic_file
from pipeline.config import Config
from pipeline.target import Target
from pipeline.targets.beam_workers import with_workers


def compile_pipeline(config: Config, target: Target, file: Path) -> None:
    """Compiles the graph to pipeline IR YAML.

    Args:
        config: The validated config, whose values become the parameters' defaults.
        target: The cluster that runs it.
        file: The YAML file to write; one that stands there is replaced when all is well.

    Raises:
        SettingsError: The settings do not fit the target, or the file's name is not YAML's.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"--output {file}: the name must end in .yaml")
    _check_target(config, target)
    config = with_workers(config)
    from kfp import compiler

    from pipeline.graph import build_pipeline

    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as temporary:
        compiler.Compiler().compile(build_pipeline(config, target), str(temporary))
        # kfp heads the file with a comment that lists settings in an order new every time; without
        # it equal configs give equal files.
        lines = temporary.read_text(encoding="utf-8").splitlines(keepends=True)
        content = itertools.dropwhile(lambda line: line.startswith("#"), lines)
        temporary.write_text("".join(content), encoding="utf-8")


def _check_target(config: Config, target: Target) -> None:
    """Refuses what would be wrong on the target, or wait there for ever."""
    cluster, strategy = config.cluster, config.section(TrainSettings).strategy
    if strategy == "multi_worker" and cluster.workers == 1:
        raise SettingsError(
            "train.strategy multi_worker: set cluster.workers to the number of machines, 2 or more"
        )
    if cluster.workers > 1 and strategy not in ("multi_worker", "auto"):
        raise SettingsError(
            f"cluster.workers {cluster.workers}: train.strategy is {strategy}, which "
            "is for one machine; set it to multi_worker"
        )
    target.check(config)
