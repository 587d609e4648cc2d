"""`make loop`: the whole circle on this machine, told with its figures."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.loop.production import CommandError
from benchmarks.loop.story import Story, tell_story


def main(
    out: Annotated[Path, typer.Option(help="Where all of it is kept.")] = Path("runs/loop"),
) -> None:
    """Play it from the beginning; what an earlier one left there goes."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it runs is ended
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    story = Story(out.absolute())
    try:
        short = tell_story(story)
    except CommandError as error:
        sys.exit(f"{error}\nall that was written: {story.log}")
    for line in short:
        story.tell(f"NOT REACHED: {line}")
    story.tell("done; nothing runs any more. Where to look:")
    for what, place in story.places().items():
        print(f"      {what:<9}{place}")
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    typer.run(main)
