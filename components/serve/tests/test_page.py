"""The page's route: who gets it, and what it may do in a browser."""

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI

from components.serve.page.page import Page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NAME = """<b onload='x()'>"flowers" & {{ name }}</b>"""


async def live():
    return {"status": "alive"}


def get(name="flowers", **headers):
    application = FastAPI()
    application.add_api_route("/", Page([name, "{{ name }}"], live).answer, methods=["GET"])

    async def ask():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.get("/", headers=headers)

    return asyncio.run(ask())


class Elements(HTMLParser):
    """Start tags with their attributes, and the text within each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self._open = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._open = tag

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        self.text[self._open] = self.text.get(self._open, "") + data

    def attribute(self, name):
        return [attributes[name] for _, attributes in self.found if name in attributes]


@pytest.mark.parametrize(
    "accept", [BROWSER, "text/html", "TEXT/HTML; charset=utf-8", "a/b, text/html"]
)
def test_browsers_get_the_page(accept):
    response = get(accept=accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["vary"] == "Accept"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.text.startswith("<!doctype html>")


@pytest.mark.parametrize("accept", ["*/*", "", "application/json", "text/htmlx", "text/*"])
def test_all_others_get_liveness(accept):
    response = get(accept=accept)
    assert response.status_code == 200
    assert response.json() == {"status": "alive"}
    assert response.headers["vary"] == "Accept"


def test_the_models_name_is_text_and_nothing_else():
    plain, page = Elements(get(accept=BROWSER).text), Elements(get(NAME, accept=BROWSER).text)
    assert [tag for tag, _ in page.found] == [tag for tag, _ in plain.found]
    assert json.loads(page.attribute("data-models")[0]) == [NAME, "{{ name }}"]
    assert page.text["h1"] == NAME
    assert page.text["title"].startswith(NAME)


def test_the_policy_allows_the_pages_own_parts_and_this_server_alone():
    response = get(NAME, accept=BROWSER)
    directives = response.headers["content-security-policy"].split("; ")
    policy = dict(directive.split(" ", 1) for directive in directives)
    for element in ("script", "style"):
        content = Elements(response.text).text[element]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert policy.pop(f"{element}-src") == f"'sha256-{digest}'"
    assert policy.pop("connect-src") == "'self'"
    assert policy.pop("img-src") == "blob: data:"
    assert len(policy) == 4
    assert set(policy.values()) == {"'none'"}


def test_nothing_in_the_page_comes_from_outside():
    page = get(accept=BROWSER).text
    elements = Elements(page)
    assert all(url.startswith("data:") for url in elements.attribute("href"))
    assert elements.attribute("src") == []
    assert elements.attribute("style") == []  # which the policy would not allow
    assert set(re.findall(r"https?://[^'\" ]+", page)) == {"http://www.w3.org/2000/svg"}
