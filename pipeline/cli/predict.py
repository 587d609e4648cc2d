"""The verb `darkroom predict`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.errors import SettingsError, StepError
from darkroom.runtime.log import configure_logging
from pipeline.cli.options import SetOption
from pipeline.cli.terminal import one_line

if TYPE_CHECKING:
    from components.predict.predictions import Outcome
    from components.predict.settings import PredictSettings

_OF_TARGETS = {"model", "data", "image_column", "columns", "overwrite", "format"}
"""Settings of a prediction that a push target makes by itself; what is written is JSON Lines."""


def predict(
    model_dir: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model, where pushed models go, or a served one's address."
        ),
    ],
    data: Annotated[
        list[str],
        typer.Argument(metavar="PHOTOGRAPH...", help="Files, folders, globs, tables, examples."),
    ],
    out: Annotated[
        str | None,
        typer.Option("-o", "--out", metavar="DIR", help="Folder to write the predictions to."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON Lines: printed, or with -o written.")
    ] = False,
    as_parquet: Annotated[
        bool, typer.Option("--parquet", help="With -o: Parquet, which is the default.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace predictions that are there.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Ask a model what photographs show.

    Example: darkroom predict runs/served/flowers photos/*.jpg

    Without -o it prints a line a photograph. Those that cannot be read are told on standard error,
    with -o they are in rejected.jsonl. Killed with -o, the same command resumes.
    Further settings: --set embedding=true
    """
    from components.predict.predict import predict as predict_step
    from components.predict.predict import predict_here
    from components.predict.settings import PredictSettings
    from components.push.targets import predicting_target
    from darkroom.settings import validate_settings
    from darkroom.storage.paths import is_uri
    from pipeline.config import override

    if as_json and as_parquet:
        raise SettingsError("--json and --parquet: give one of them")
    if out is None and (as_parquet or overwrite):
        raise SettingsError("say where to write: -o DIR")
    values: dict[str, Any] = {"model": model_dir, "data": data, "overwrite": overwrite}
    values |= {"format": "jsonl"} if as_json else {"format": "parquet"} if as_parquet else {}
    for given in settings or []:
        override(values, given)
    configure_logging()
    checked = validate_settings(PredictSettings, values, "predict")
    if (target := predicting_target(model_dir)) is not None:
        _check_for_target(checked)
        print(target.predict(_photographs(checked), out or "", overwrite=checked.overwrite))
        return
    if out is not None and is_uri(out):
        raise SettingsError(f"-o {out}: name a folder of this machine")
    if out is not None:
        predict_step(checked, predictions=Path(out).absolute())
        print(out)
        return
    if not _print(predict_here(checked), as_json):
        raise StepError("none of the photographs can be read")


def _check_for_target(settings: "PredictSettings") -> None:
    """Checks that nothing is asked for which a target that predicts by itself does not do."""
    given = settings.model_fields_set
    if "format" in given and settings.format != "jsonl":
        raise SettingsError(f"{settings.model} writes JSON Lines alone, not {settings.format}")
    for name in settings.model_dump():
        if name in given - _OF_TARGETS:
            raise SettingsError(
                f"{settings.model} has no '{name}': leave it out, or give the model's folder"
            )


def _photographs(settings: "PredictSettings") -> Iterator[str]:
    """The photographs' paths and URIs.

    Raises:
        SettingsError: Something is no photograph in a file of its own.
    """
    from components.predict.rows import Listed, Records, Row, list_rows

    for found in list_rows(settings, Listed()):
        if isinstance(found, Row):
            yield found.location
        elif isinstance(found, Records):
            raise SettingsError(f"{settings.model} reads photographs, not examples as {found[0]}")
        else:
            where = f"{found.row['file']} line {found.row['line']}: " if "line" in found.row else ""
            raise SettingsError(f"{where}{found.detail}; {settings.model} has no rejected rows")


def _print(outcomes: Iterable["Outcome"], as_json: bool) -> int:
    """Prints what became of photographs.

    Returns:
        How many have a prediction.
    """
    from components.predict.formats import as_json as line_of
    from components.predict.formats import rows_of

    count = 0
    for outcome in outcomes:
        rows = [] if outcome.table is None else rows_of(outcome.table)
        if as_json:
            sys.stdout.write("".join(line_of(row).decode() for row in rows))
        else:
            _print_table(rows, with_header=count == 0)
        sys.stdout.flush()
        for refused in outcome.rejections:
            where = refused.row.get("image") or f"{refused.row['file']} line {refused.row['line']}"
            line = one_line(f"{refused.reason}: {where}: {refused.detail}")
            print(line, file=sys.stderr)
        count += len(rows)
    return count


def _print_table(rows: list[dict[str, Any]], with_header: bool) -> None:
    if not rows:
        return
    answers = [
        one_line(" ".join(row["labels"]) if "labels" in row else row["label"]) for row in rows
    ]
    width = max(len("label"), *map(len, answers))
    if with_header:
        print(f"{'label':<{width}}  probability  file")
    for answer, row in zip(answers, rows, strict=True):
        print(f"{answer:<{width}}  {row['probability']:>11.3f}  {one_line(row['image'])}")
