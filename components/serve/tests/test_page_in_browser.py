"""The page in Chromium: it says what the server says, and asks nobody else."""

import base64
import contextlib
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.tests.page_in_browser import (
    DESK,
    PHONE,
    assert_shows,
    card,
    choose,
    file,
    opened,
)
from components.serve.tests.server_process import Server, push, start_server
from components.serve.tests.small_model import THRESHOLD, b64, build_model, photograph
from darkroom.artifacts.model import LABELS_FILE
from darkroom.artifacts.push_log import Entry, PushLog

pytestmark = pytest.mark.slow

LIMITS = {"max_requests": 1, "max_body_bytes": 50_000, "body_seconds": 30}


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    found, _ = opened(browser, server)
    yield found
    found.close()


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_photographs_get_labels_and_a_broken_file_the_reason(
    browser: Any, server: Server, screen: dict[str, Any], scheme: str
) -> None:
    page, problems = opened(browser, server, color_scheme=scheme, **screen)
    sent: list[bytes] = []
    page.on(
        "request",
        lambda asked: (
            sent.append(asked.post_data_json["instances"][0]["image_bytes"]["b64"])
            if asked.method == "POST"
            else None
        ),
    )
    photographs = {f"{seed}.jpg": photograph(seed) for seed in (1, 2)}
    choose(page, *(file(name, content) for name, content in photographs.items()))
    for name, content in photographs.items():
        assert_shows(card(page, name), server, content, "3")
    assert problems == []
    # The server sees the photographs as they are.
    assert sorted(map(base64.b64decode, sent)) == sorted(photographs.values())

    long_name = f"{'broken' * 30}.jpg"
    choose(page, file(long_name, b"no photograph"))
    broken = card(page, long_name)
    refused = server.predict({"instances": [b64(b"no photograph")]}).json()["error"]
    assert broken.locator(".problem").inner_text() == "The server refuses this photograph."
    assert broken.locator(".reason").inner_text() == refused.removeprefix("instance 0: ")
    assert broken.get_by_role("button", name="Try again").is_visible()
    assert broken.locator(".frame").inner_text() == "no preview"
    assert page.get_by_text("2 of 3 photographs answered, 1 failed.").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert page.get_by_text("Take a photograph").is_visible() == (screen is PHONE)
    # Chromium itself reports every answer of 400 and more.
    assert [text for text in problems if "status of 400" not in text] == []
    page.close()


def test_it_follows_a_canary_and_a_new_version(
    page: Any, server: Server, base_dir: Path, tmp_path: Path
) -> None:
    content = photograph(1)
    choose(page, file("one.jpg", content))
    assert_shows(card(page, "one.jpg"), server, content, "3")
    try:
        assert PushLog(str(base_dir)).append(Entry("traffic", 4, 3, canary=4, traffic=100))
        push(build_model(tmp_path / "several", seed=4, multi_label=True), base_dir / ".canary-4")
        page.get_by_text("version 4 is a canary and answers a share").wait_for()
        choose(page, file("two.jpg", photograph(2)))
        assert_shows(card(page, "two.jpg"), server, photograph(2), "4", ", the canary")
        (base_dir / ".canary-4").rename(base_dir / "4")
        page.get_by_text("Version 4 serves.").wait_for()
        texts = ["version 4", "version 3, which no longer serves"]
        assert page.locator(".version").all_inner_texts() == texts
        page.get_by_role("button", name="Try again").click()
        page.get_by_text(texts[1]).wait_for(state="hidden")
        assert_shows(card(page, "one.jpg"), server, content, "4")
        answer = server.predict({"instances": [b64(content)]}).json()["predictions"][0]
        over = sum(value >= THRESHOLD for value in answer["probabilities"])
        assert card(page, "one.jpg").locator(".name.given").count() == over
    finally:
        for name in (".canary-4", "4", "push_log"):
            shutil.rmtree(base_dir / name, ignore_errors=True)
        server.wait_until(lambda: server.serving() == "3")


@pytest.mark.parametrize(
    ("event", "holder"), [("drop", "dataTransfer"), ("paste", "clipboardData")]
)
def test_photographs_are_dropped_and_pasted(
    page: Any, server: Server, event: str, holder: str
) -> None:
    content = photograph(5)
    page.evaluate(
        """([event, holder, content]) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const files = new DataTransfer();
          files.items.add(new File([bytes], "given.jpg", { type: "image/jpeg" }));
          const kind = event === "drop" ? DragEvent : ClipboardEvent;
          document.body.dispatchEvent(
            new kind(event, { [holder]: files, bubbles: true, cancelable: true })
          );
        }""",
        [event, holder, base64.b64encode(content).decode()],
    )
    assert_shows(card(page, "given.jpg"), server, content, "3")
    assert "given.jpg" in page.get_by_role("log").inner_text()


def test_it_works_by_keyboard(page: Any) -> None:
    chosen = [file("one.jpg", photograph(1)), file("two.jpg", b"")]
    # Not `expect_file_chooser`, which may begin to look too late.
    page.on("filechooser", lambda chooser: chooser.set_files(chosen))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card(page, "two.jpg")
    card(page, "one.jpg")
    for expected in ("Clear", "Explain", "Try again"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == expected
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("li.card").count() == 0
    assert page.evaluate("document.activeElement.id") == "choose"


@pytest.fixture
def limited(model: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of narrow limits, whose model does not say the names of its labels."""
    folder = tmp_path / "flowers"
    push(model, folder / "3")
    (folder / "3" / LABELS_FILE).unlink()
    server = start_server(folder, "flowers", tmp_path / "log", "--settings", json.dumps(LIMITS))
    server.wait_until(server.serving)
    yield server
    server.process.kill()
    server.process.wait()


def test_a_server_that_refuses_or_is_gone_is_said_at_the_photograph(
    browser: Any, limited: Server
) -> None:
    page, _ = opened(browser, limited)

    def problem(name: str) -> str:
        return str(card(page, name).locator(".problem").inner_text())

    with contextlib.ExitStack() as others:

        def is_busy() -> bool:
            """With the one request that the server takes at a time, whose body never comes."""
            other = others.enter_context(socket.create_connection(("127.0.0.1", limited.port)))
            other.sendall(
                b"POST /v1/models/flowers:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
            )
            return limited.predict(b"{}").status_code == 429

        limited.wait_until(is_busy)
        choose(page, file("one.jpg", photograph(1)))
        assert problem("one.jpg") == "The server is busy with other requests."
    limited.wait_until(lambda: limited.predict(b"{}").status_code == 400)
    card(page, "one.jpg").get_by_role("button", name="Try again").click()
    page.locator(".answered").wait_for()
    assert_shows(card(page, "one.jpg"), limited, photograph(1), "3")
    names = page.locator(".labels .name").all_inner_texts()
    best = limited.predict({"instances": [b64(photograph(1))]}).json()["predictions"][0]
    assert names[0] == best["label"]
    assert set(names[1:]) == {f"label {n}" for n in {0, 1, 2} - {best["label_index"]}}

    choose(page, file("large.jpg", bytes(60_000)))
    # Chromium may see the connection closed before it has read why.
    assert problem("large.jpg") in (
        "The photograph is too large for this server.",
        "The server broke the connection off.",
    )
    limited.process.kill()
    limited.process.wait()
    choose(page, file("two.jpg", photograph(2)))
    assert problem("two.jpg") == "The server does not answer."
    assert page.get_by_text("The server does not answer.").first.is_visible()
    page.get_by_role("button", name="Retry failed").click()
    assert problem("two.jpg") == "The server does not answer."
    page.close()


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
def test_an_answer_is_explained_on_demand(
    browser: Any, server: Server, screen: dict[str, Any]
) -> None:
    page, problems = opened(browser, server, **screen)
    content = photograph(5)
    choose(page, file("one.jpg", content))
    answered = card(page, "one.jpg")
    assert not answered.locator("figure").is_visible()
    answered.get_by_role("button", name="Explain").click()
    answered.locator("figcaption").wait_for()
    asked = {"instances": [b64(content)]}
    response = server.client.post("/v1/models/flowers/versions/3:explain", json=asked)
    (expected,) = response.json()["explanations"]
    effects = [effect for row in expected["effects"] for effect in row]
    points = f"{100 * max(effects):.1f}".removesuffix(".0")
    caption = answered.locator("figcaption").inner_text()
    assert f"speaks for “{expected['label']}”" in caption
    assert f"falls by {points} points" in caption
    strongest = max(range(len(effects)), key=lambda place: abs(effects[place]))
    pixel = answered.locator("canvas").evaluate(
        """(canvas, place) => [...canvas.getContext("2d").getImageData(
             place % canvas.width, Math.floor(place / canvas.width), 1, 1).data]""",
        strongest,  # the model sees as many pixels as the map has cells
    )
    red, green, _, opaque = pixel
    assert opaque == 255
    assert (green > red) == (effects[strongest] > 0)
    assert caption in page.get_by_role("log").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= screen["viewport"]["width"]
    assert problems == []
    page.close()
