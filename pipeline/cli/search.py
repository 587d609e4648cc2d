"""The verbs of image search: `index` and `similar`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from darkroom.runtime.log import configure_logging
from pipeline.cli.options import ModelArgument, model_in
from pipeline.cli.terminal import one_line


def index(
    predictions: Annotated[
        Path,
        typer.Argument(metavar="PREDICTIONS", help="What darkroom predict wrote, with embeddings."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The new folder.")] = Path(
        "index"
    ),
) -> None:
    """Index predicted photographs by their embeddings, for darkroom similar.

    Example: darkroom index predictions -o index
    """
    from components.search.index import build_index

    configure_logging()
    counts = build_index(predictions, out)
    left_out = f", {counts['left_out']:,} left out" if counts["left_out"] else ""
    print(f"{counts['indexed']:,} photographs{left_out}")
    print(out)


def similar(
    model_dir: ModelArgument,
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="What darkroom index wrote.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photographs.")],
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, metavar="N", help="How many to find for each.")
    ] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML page with the pictures.")
    ] = None,
) -> None:
    """Find the photographs that are most like some others.

    Example: darkroom similar runs/served/flowers index rose.jpg --page similar.html

    The distance is 1 less the cosine between the embeddings: 0 is the same.
    """
    from components.search.page import write_page
    from components.search.similar import find_similar

    configure_logging()
    found = find_similar(model_in(model_dir), index, images, count)
    if page is not None:
        write_page(found, page)
    if as_json:
        document = [
            {"image": str(one.image), "similar": [near._asdict() for near in one.neighbours]}
            for one in found
        ]
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for one in found:
        if len(found) > 1:
            print(one_line(one.image))
        labels = [one_line(near.label) for near in one.neighbours]
        width = max(map(len, labels), default=0)
        for label, near in zip(labels, one.neighbours, strict=True):
            print(f"{near.distance:.3f}  {label:<{width}}  {one_line(near.image)}")
    if page is not None:
        print(page)
