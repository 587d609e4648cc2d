"""The evaluation's predictions: one Parquet row a photograph, read as columns or as rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.examples import IMAGE_ID, LABEL

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

PREDICTIONS = "predictions"
"""Start of the names of the prediction files, which are Parquet."""
SUFFIX = ".parquet"
SLICES = "slices"
CHAMPION = "champion"
PROBABILITIES = "probabilities"
PROBLEM = "problem"


def prediction_schema(
    labels: int, slices: Mapping[str, str], multi_label: bool, champion: bool
) -> "pa.Schema":
    """The columns of predictions.

    Args:
        labels: The number of labels, K.
        slices: Type (`bytes`, `int` or `float`) of every feature that images are sliced by.
        multi_label: Whether images have several labels.
        champion: Whether a champion was scored too.
    """
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    types = {"bytes": text, "int": pa.int64(), "float": pa.float64()}
    answer = ("predicted_labels", texts) if multi_label else ("predicted_label", text)
    probabilities = (PROBABILITIES, pa.list_(pa.float32(), labels))
    fields = [("split", text), (IMAGE_ID, text), ("image_path", text), ("label", text)]
    if multi_label:
        fields += [("labels", texts), ("label_indices", pa.list_(pa.int64()))]
    else:
        fields += [("label_index", pa.int64())]
    fields += [answer, probabilities]
    if champion:
        fields.append((CHAMPION, pa.struct([answer, probabilities, (PROBLEM, text)])))
    if slices:  # a struct of nothing cannot be written
        several = {LABEL} if multi_label else set()
        columns = [(name, texts if name in several else types[slices[name]]) for name in slices]
        fields.append((SLICES, pa.struct(columns)))
    return pa.schema(fields)


def read_predictions(folder: Path, split: str = "test") -> "pa.Table":
    """The predictions of a split as columns, in the order of the images' identities.

    Args:
        folder: The evaluation artifact.
        split: `test` or `valid`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = sorted(folder.glob(f"{PREDICTIONS}-*{SUFFIX}"))
    tables = [pq.read_table(file, filters=[("split", "=", split)]) for file in files]
    if not tables:
        return pa.table({"split": [], IMAGE_ID: []})
    return pa.concat_tables(tables).sort_by(IMAGE_ID)


def first_predictions(
    folder: Path, most: int, of_slice: Mapping[str, str] | None = None
) -> "pa.Table":
    """The predictions of the photographs that come first by identity, which is a random choice.

    Args:
        folder: The evaluation artifact.
        most: How many, of both splits together.
        of_slice: Value by column that they have; None for all.

    Returns:
        Rows in the order of the identities, without paths, places of labels and the champion.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    files = sorted(folder.glob(f"{PREDICTIONS}-*{SUFFIX}"))
    chosen = pc.scalar(True)
    for name, value in (of_slice or {}).items():
        chosen &= pc.field(SLICES, name) == value
    known = _slice_names(files)
    if files and (of_slice or {}).keys() <= known:
        ids = [pq.read_table(file, columns=[IMAGE_ID], filters=chosen)[0] for file in files]
        all_ids = pa.chunked_array([chunk for each in ids for chunk in each.chunks], pa.string())
    else:
        all_ids = pa.chunked_array([], pa.string())
    if len(all_ids) == 0:
        return pa.table({"split": pa.array([], pa.string()), IMAGE_ID: pa.array([], pa.string())})
    last = all_ids.take(pc.sort_indices(all_ids)[:most])[-1]
    left_out = ("image_path", "label_index", "label_indices", CHAMPION)
    columns = [name for name in pq.read_schema(files[0]).names if name not in left_out]
    chosen &= pc.field(IMAGE_ID) <= last
    tables = [pq.read_table(file, columns=columns, filters=chosen) for file in files]
    return pa.concat_tables(tables).sort_by(IMAGE_ID).slice(0, most).combine_chunks()


def _slice_names(files: Sequence[Path]) -> frozenset[str]:
    """The columns that photographs are sliced by."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(files[0]) if files else ()
    return frozenset(
        column.name for field in schema if field.name == SLICES for column in field.type
    )


def probability_array(table: "pa.Table", champion: bool = False) -> "npt.NDArray[np.float32]":
    """The probabilities of a table, float32 [N, K].

    Args:
        table: Predictions.
        champion: Whether the champion's are meant; they must be there.
    """
    import pyarrow.compute as pc

    column = pc.struct_field(table[CHAMPION], PROBABILITIES) if champion else table[PROBABILITIES]
    width: int = column.type.list_size
    flat: npt.NDArray[np.float32] = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(-1, width)


def champion_problem(table: "pa.Table") -> str:
    """Why the champion could not be scored; "" if it could."""
    import pyarrow.compute as pc

    problems = pc.struct_field(table[CHAMPION], PROBLEM).drop_null()
    return problems[0].as_py() if len(problems) else ""


def prediction_rows(table: "pa.Table") -> Iterator[dict[str, Any]]:
    """The rows of a table.

    Yields:
        `image_id`, `image_path`, `split`, `label`, `label_index`, `predicted_label`,
        `probabilities` (float32 values exactly, one a label; None is not a number) and `slices`
        (the values of the features that images were sliced by, by name). Where images have several
        labels, `labels`, `label_indices` and `predicted_labels` are lists in place of the second
        and the third, `label` is all labels in one text, and an image is in the slice of each
        label. Where a champion was scored, `champion` holds its `predicted_label` (or
        `predicted_labels`) and its `probabilities` in the same order, or the `problem` for which
        it could not be.
    """
    for batch in table.to_batches(max_chunksize=256):
        for row in batch.to_pylist():
            champion = row.pop(CHAMPION, None)
            row = {SLICES: {}} | _with_numbers(row)
            if champion is None:
                yield row
            elif champion[PROBLEM] is not None:
                yield row | {CHAMPION: {PROBLEM: champion[PROBLEM]}}
            else:
                del champion[PROBLEM]
                yield row | {CHAMPION: _with_numbers(champion)}


def read_prediction_rows(folder: Path, split: str = "test") -> Iterator[dict[str, Any]]:
    """The prediction of every image of a split, once each, as `prediction_rows` gives them."""
    return prediction_rows(read_predictions(folder, split))


def _with_numbers(row: dict[str, Any]) -> dict[str, Any]:
    values = row.get(PROBABILITIES, [])
    return row | {PROBABILITIES: [value if math.isfinite(value) else None for value in values]}
