"""The environment that the pages' templates are rendered in."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def templates(is_html: bool) -> "Environment":
    """Jinja's environment for the templates of this folder.

    Args:
        is_html: Whether texts are escaped for HTML.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["signed"] = _signed
    environment.filters["cell"] = _cell
    return environment


def _number(value: float | None) -> str:
    """A metric in three decimals; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    """A difference in three decimals, with its sign."""
    return "\N{EN DASH}" if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _cell(text: object) -> str:
    r"""Text within a line or a table of Markdown: nothing of it is markup.

    >>> _cell("a|b <i>")
    'a\\|b \\<i\\>'
    """
    marked = str(text).replace("\\", "\\\\").replace("\n", " ")
    for character in "|<>*_`[]":
        marked = marked.replace(character, f"\\{character}")
    return marked
