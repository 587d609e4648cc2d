"""A page that shows photographs beside those that are like them."""

from collections.abc import Sequence
from pathlib import Path

from components.search.similar import Found
from darkroom.errors import DarkroomError, StepError
from darkroom.storage.atomic import os_reason, write_text
from darkroom.storage.files import opened
from darkroom.thumbnails import thumbnail

_TEMPLATE = "similar.html.j2"
_SIDE = 200
"""Longer side of a picture in pixels."""


def write_page(found: Sequence[Found], page: Path) -> None:
    """Writes an HTML page that loads nothing: pictures, distances, labels and names.

    Args:
        found: What `find_similar` gave.
        page: Output: the file.

    Raises:
        StepError: It cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    images = {str(one.image) for one in found}
    images |= {near.image for one in found for near in one.neighbours}
    pictures = {image: _picture(image) for image in images}
    content = environment.get_template(_TEMPLATE).render(found=found, pictures=pictures)
    try:
        write_text(page, content)
    except OSError as error:
        raise StepError(f"cannot write {page}: {os_reason(error)}") from error


def _picture(image: str) -> str | None:
    """A small picture as a data URI; None where the photograph is gone or cannot be read."""
    try:
        with opened(image) as file:
            return thumbnail(file.read(), _SIDE)
    except (OSError, DarkroomError):
        return None
