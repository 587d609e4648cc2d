"""The page of a server of several models, which wants a key."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.tests.page_in_browser import DESK, PHONE, assert_shows, card, choose, file
from components.serve.tests.server_process import Server, start_models
from components.serve.tests.small_model import photograph

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def locked(
    model: Path, next_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server of two models that wants a key."""
    folder = tmp_path_factory.mktemp("locked")
    (folder / "keys").write_text("right-key\n")
    places = {"flowers": str(model), "digits & more": str(next_model)}
    settings = json.dumps({"models": places, "api_keys": str(folder / "keys")})
    server = start_models("flowers", folder / "log", "--settings", settings)
    server.client.headers["X-API-Key"] = "right-key"
    try:
        server.wait_until(lambda: server.state() is not None)
        server.wait_until(lambda: server.client.get("/v2/health/ready").status_code == 200)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_a_key_is_asked_for_and_kept_in_the_tab(
    browser: Any, locked: Server, screen: dict[str, Any]
) -> None:
    tabs = browser.new_context(**screen)
    page = tabs.new_page()
    page.goto(f"http://127.0.0.1:{locked.port}/")
    page.get_by_text("The server wants an API key.").wait_for()
    choose(page, file("one.jpg", photograph(1)))
    problem = card(page, "one.jpg").locator(".problem")
    assert problem.inner_text() == "The server wants an API key."
    field = page.get_by_label("API key")
    assert field.get_attribute("type") == "password"
    field.fill("wrong-key")
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("The server does not know this API key.").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    field.fill("right-key")
    field.press("Enter")
    page.get_by_text("Version 1 serves.").wait_for()
    page.locator(".answered").wait_for()
    assert_shows(card(page, "one.jpg"), locked, photograph(1), "1")
    assert not field.is_visible()
    page.reload()
    page.get_by_text("Version 1 serves.").wait_for()
    assert not field.is_visible()
    other = tabs.new_page()
    other.goto(page.url)
    other.get_by_text("The server wants an API key.").wait_for()
    tabs.close()


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_the_model_is_chosen_and_asked_about_the_same_photographs(
    browser: Any, locked: Server, screen: dict[str, Any]
) -> None:
    page = browser.new_page(**screen)
    page.goto(f"http://127.0.0.1:{locked.port}/")
    page.get_by_label("API key").fill("right-key")
    page.get_by_role("button", name="Use it").click()
    page.get_by_text("Version 1 serves.").wait_for()
    choose(page, file("one.jpg", photograph(1)))
    page.locator(".answered").wait_for()
    assert_shows(card(page, "one.jpg"), locked, photograph(1), "1")
    with page.expect_response(lambda response: response.url.endswith(":predict")) as answered:
        page.get_by_label("Model").select_option("digits & more")
    assert answered.value.url.endswith("/digits%20%26%20more:predict")
    assert page.get_by_role("heading", level=1).inner_text() == "digits & more"
    digits = Server(locked.process, locked.port, "digits & more", locked.log)
    digits.client.headers["X-API-Key"] = "right-key"
    card(page, "one.jpg").locator(".answered").wait_for()
    assert_shows(card(page, "one.jpg"), digits, photograph(1), "1")
    card(page, "one.jpg").get_by_role("button", name="Explain").click()
    card(page, "one.jpg").locator("figcaption").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    page.close()
