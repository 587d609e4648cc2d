"""The page in Chromium, and what a person does there."""

from typing import Any

from components.serve.tests.server_process import Server
from components.serve.tests.small_model import b64

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 800}}


def opened(browser: Any, server: Server, **options: Any) -> tuple[Any, list[str]]:
    """The page, and what went wrong or was asked of others than the server."""
    problems: list[str] = []
    page = browser.new_page(**options)
    own = (f"http://127.0.0.1:{server.port}/", "data:", "blob:")
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(own) else problems.append(asked.url),
    )
    page.goto(own[0])
    page.get_by_text("serves.").wait_for()
    return page, problems


def file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def choose(page: Any, *files: dict[str, Any]) -> None:
    page.get_by_label("Choose photographs").set_input_files(list(files))


def card(page: Any, name: str) -> Any:
    found = page.locator("li.card", has=page.get_by_role("heading", name=name, exact=True))
    found.and_(page.locator("[aria-busy=false]")).wait_for()
    return found


def assert_shows(card: Any, server: Server, content: bytes, version: str, role: str = "") -> None:
    response = server.predict({"instances": [b64(content)]}, f"/versions/{version}")
    answer = response.json()["predictions"][0]
    percents = sorted((f"{value:.1%}" for value in answer["probabilities"]), key=_number)
    assert card.locator(".probability").all_inner_texts() == percents[::-1]
    assert card.locator(".labels .name").first.inner_text() == answer["label"]
    assert card.locator(".answer").inner_text() == ", ".join(
        answer.get("labels", answer["label"]).split() or ["No label is over its threshold"]
    )
    assert card.locator(".version").inner_text() == f"version {version}{role}"
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert card.locator("img").evaluate(width) == 30


def _number(percent: str) -> float:
    return float(percent.rstrip("%"))
