"""The reference of settings says what the settings models do."""

import re

import pytest

from darkroom.settings import Settings
from pipeline.settings_page import PAGE, WithDocstrings, settings_page


def test_the_page_is_that_of_the_settings(update_golden: bool) -> None:
    page = settings_page()
    if update_golden:
        PAGE.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, (
        "docs/settings.md is out of date: python -m pipeline.settings_page"
    )


def test_every_link_leads_to_a_heading_of_its_own() -> None:
    page = settings_page()
    headings = re.findall(r"^##+ (.+)$", page, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9_-]", "", each.lower().replace(" ", "-")) for each in headings]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#(.+?)\)", page)) <= set(anchors)


def test_values_and_defaults_are_those_of_the_models() -> None:
    page = settings_page()
    for row in (
        "| `max_rejected` | number ≥ 0 and ≤ 1 | `0.05` |",
        "| `resize` | `stretch`, `pad`, `crop` | `stretch` |",
        "| `image_size` | integer > 0 or list of 2: integer > 0, integer > 0 |",
        "| `tolerations` | list of [cluster.kfp.pods.NAME.tolerations[]]",
        "| `claim` | string | *required* |",
        "| `log_loss` | Log loss | lower |",
    ):
        assert f"\n{row}" in page


class Undocumented(Settings):
    """A section whose key nobody explains."""

    key: str = ""


def test_a_key_without_a_docstring_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"^Undocumented\.key has no docstring below it$"):
        Undocumented.model_json_schema(schema_generator=WithDocstrings)
