"""The page's policy: its headers from both servers, that the page keeps to it, and that the browser enforces it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.browsers import FLAGS
from browser.builds import copied_package, running_web, site_of
from browser.people import introduce, person
from halonyx.web.build import SECURITY_HEADERS, policy, with_sockets
from relay_process import running_relay

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REPORTS: Final = """() => {
  globalThis.reports = []
  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
    globalThis.reports.push(`${violatedDirective} ${blockedURI}`)
  })
}"""
STRANGER: Final = "http://127.0.0.1:9"  # an origin that no policy of ours names

ATTACKS: Final = {
    "an inline script": (
        "require-trusted-types-for",
        """() => {
          const script = document.createElement("script")
          script.append("globalThis.ran = 1")
          document.body.append(script)
        }""",
    ),
    "a script's address": (
        "require-trusted-types-for",
        "(stranger) => { document.createElement('script').src = `${stranger}/x.js` }",
    ),
    "a module from elsewhere": ("script-src-elem", "(stranger) => import(`${stranger}/x.js`)"),
    "an event handler in markup": (
        "require-trusted-types-for",
        "() => document.body.setAttribute('onclick', 'globalThis.ran = 1')",
    ),
    "eval": ("require-trusted-types-for", "() => (0, eval)('globalThis.ran = 1')"),
    "a function from text": ("require-trusted-types-for", "() => Function('globalThis.ran = 1')()"),
    "innerHTML": (
        "require-trusted-types-for",
        "() => { document.body.innerHTML = '<img src=x onerror=globalThis.ran=1>' }",
    ),
    "a policy of another name": ("trusted-types", "() => trustedTypes.createPolicy('evil', { createHTML: (x) => x })"),
    "the page's policy once more": ("trusted-types", "() => trustedTypes.createPolicy('halonyx', {})"),
    "a picture from elsewhere": (
        "img-src",
        "(stranger) => { document.body.append(Object.assign(new Image(), { src: `${stranger}/x.png` })) }",
    ),
    "a picture in an address": (
        "img-src",
        "() => { document.body.append(Object.assign(new Image(), { src: 'data:image/gif;base64,R0lGODlhAQ==' })) }",
    ),
    "a call elsewhere": ("connect-src", "(stranger) => fetch(stranger).then(() => { globalThis.ran = 1 })"),
    "a beacon": ("connect-src", "(stranger) => { navigator.sendBeacon(stranger, 'x') }"),
    "a socket elsewhere": ("connect-src", "(stranger) => { new WebSocket(stranger.replace('http', 'ws')) }"),
    "a Worker from elsewhere": ("require-trusted-types-for", "(stranger) => { new Worker(`${stranger}/x.js`) }"),
    "a style in markup": ("style-src-attr", "() => document.body.setAttribute('style', 'display: none')"),
    "a style sheet of text": (
        "style-src-elem",
        """() => {
          const sheet = document.createElement("style")
          sheet.append("body { display: none }")
          document.head.append(sheet)
        }""",
    ),
    "a frame": (
        "frame-src",
        "(stranger) => { document.body.append(Object.assign(document.createElement('iframe'), { src: stranger })) }",
    ),
    "another base": (
        "base-uri",
        "(stranger) => { document.head.append(Object.assign(document.createElement('base'), { href: stranger })) }",
    ),
    "a form": (
        "form-action",
        """(stranger) => {
          const form = Object.assign(document.createElement("form"), { action: stranger })
          document.body.append(form)
          form.submit()
        }""",
    ),
}


@dataclass(frozen=True)
class Served:
    """One server of the build.

    Attributes:
        connect: Origins that its policy names besides its own.
        site: Folder of the build.
        told: Cache-Control of /site.json.
    """

    address: str
    connect: list[str]
    site: Path
    told: str


@pytest.fixture(scope="module", params=["relay", "halonyx web"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("policy")
    package = copied_package(folder / "package")
    site = site_of(package)
    with ExitStack() as running:
        relay = running.enter_context(running_relay(folder / "relay", PYTHONPATH=str(package)))
        if request.param == "relay":
            origins = [relay.origin, relay.origin.replace("localhost", "127.0.0.1")]
            yield Served(relay.origin, with_sockets(origins), site, "no-cache")
        else:
            address, _ = running.enter_context(running_web(relay.origin, package))
            origins = [address, address.replace("localhost", "127.0.0.1")]
            yield Served(address, with_sockets(origins), site, "no-store")


def test_every_file_has_the_headers_of_the_policy(browser: Browser, served: Served) -> None:
    context = browser.new_context()
    paths = [path.relative_to(served.site).as_posix() for path in served.site.rglob("*") if path.is_file()]
    for path in ["", "site.json", *paths]:
        answer = context.request.get(f"{served.address}/{path}")
        assert answer.ok, path
        assert answer.headers["content-security-policy"] == policy(served.connect)
        assert answer.headers.items() >= SECURITY_HEADERS.items()
        expected = {"site.json": served.told}.get(path, IMMUTABLE if path.startswith("assets/") else "no-cache")
        assert answer.headers["cache-control"] == expected
    context.close()


@pytest.mark.parametrize(
    "path", ["nothing", "assets/nothing.js", "relay/nothing", "relay/nothing/v1/relay", "v1/nothing"]
)
def test_what_is_no_file_is_no_page_either(browser: Browser, served: Served, path: str) -> None:
    """Nobody can make a page or a script of this origin out of a refusal."""
    context = browser.new_context()
    answer = context.request.get(f"{served.address}/{path}")
    assert not answer.ok
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert (
        answer.headers.items()
        >= {
            "x-content-type-options": "nosniff",
            "cross-origin-resource-policy": "same-origin",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
        }.items()
    )
    assert answer.headers["content-type"].startswith("application/json")
    context.close()


def test_the_page_keeps_to_its_policy_from_the_first_run_to_the_last_dialog(
    playwright_camera: Browser, served: Served
) -> None:
    """No request and no socket to another origin, and nothing that the policy had to refuse."""
    asked: list[str] = []
    with person(playwright_camera, served.address) as alice, person(playwright_camera, served.address) as bob:
        for someone in (alice, bob):
            someone.page.on("request", lambda request: asked.append(request.url))
            someone.page.on("websocket", lambda socket: asked.append(socket.url))
            someone.page.reload()
            someone.page.evaluate(REPORTS)
            someone.create()
        introduce(alice, bob)
        alice.write("Bob", "https://example.org <b>")
        bob.sees("https://example.org <b>")
        alice.sees("https://example.org <b>", "delivered")
        visit_everything(alice.page)
        for someone in (alice, bob):
            assert someone.page.evaluate("globalThis.reports") == []
    assert any(address.startswith(served.address) for address in asked)
    allowed = (served.address, served.address.replace("http", "ws", 1), f"blob:{served.address}")
    assert [address for address in asked if not address.startswith(allowed)] == []


@pytest.fixture(scope="module")
def playwright_camera(browser: Browser) -> Iterator[Browser]:
    """A Chromium with a made-up camera."""
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    started = browser.browser_type.launch(executable_path="/usr/bin/chromium", headless=False, args=[*FLAGS, *flags])
    yield started
    started.close()


def visit_everything(page: Page) -> None:
    """Open every dialog of someone who has one contact."""
    page.get_by_role("button", name="Share your card").first.click()
    expect(page.get_by_label("Your card as a QR code")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare numbers", exact=True).click()
    expect(page.get_by_label("Your code for them to scan")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Settings").click()
    page.get_by_text("Dark", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add someone").first.click()
    page.get_by_role("button", name="Scan with camera").click()
    expect(page.locator("video")).to_be_visible()
    page.get_by_role("button", name="Stop camera").click()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_role("searchbox", name="Find a person or a message").fill("example")
    expect(page.get_by_role("dialog").get_by_text("1 result")).to_be_attached()
    page.keyboard.press("Escape")


@pytest.fixture(scope="module")
def visitor(browser: Browser, served: Served) -> Iterator[Page]:
    """A page that nothing is expected of: its console is full of refusals."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(served.address)
    yield page
    context.close()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_browser_refuses_what_the_policy_forbids(visitor: Page, name: str) -> None:
    directive, attack = ATTACKS[name]
    visitor.reload()
    expect(visitor.get_by_role("button", name="Create my identity")).to_be_visible()
    refused = visitor.evaluate(
        f"""async (stranger) => {{
          const refused = new Promise((resolve) => {{
            const told = (event) => resolve(event.effectiveDirective)
            document.addEventListener("securitypolicyviolation", told, {{ once: true }})
          }})
          await new Promise((resolve) => setTimeout(resolve, 0))  // what an evaluation does at once may use eval
          try {{ await ({attack})(stranger) }} catch {{ /* refused at once */ }}
          return refused
        }}""",
        STRANGER,
    )

    assert refused == directive
    assert visitor.evaluate("globalThis.ran ?? null") is None
    assert visitor.url == visitor.evaluate("location.origin") + "/"
