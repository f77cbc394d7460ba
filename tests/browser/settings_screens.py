"""The way to the dialogs behind the settings; a part of `screens`."""

from collections.abc import Iterator
from urllib.parse import urljoin

from playwright.sync_api import Page, Route

from halonyx.core.recovery import ENTROPY_SIZE, encode_recovery_code
from halonyx.wire.rest_relay import RelayKnows


def knows(page: Page) -> Iterator[tuple[str, Page]]:
    """Hold the relay's answer back, refuse it, let it come; then every word of it is shown."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/v1/relay/knows", hold)
    page.get_by_role("button", name="What your relay knows").click()
    page.locator(".knows .skeleton.shown").wait_for()
    yield "knows-loading", page
    for route in held:
        route.abort()
    again = page.get_by_role("dialog").get_by_role("button", name="Try again")
    again.wait_for()
    yield "knows-error", page
    page.unroute("**/v1/relay/knows", hold)
    again.click()
    page.get_by_role("heading", name="It could tell a court").wait_for()
    told = RelayKnows.model_validate_json(page.request.get(urljoin(page.url, "/v1/relay/knows")).body())
    shown = page.locator(".knows")
    assert shown.locator("li").all_text_contents() == [*told.cannot_tell, *told.can_tell]
    assert shown.locator("dt").all_text_contents() == [held.name for held in told.held if held.name]
    assert shown.locator("dd").all_text_contents() == [held.text for held in told.held]
    yield "knows", page
    page.get_by_text("app.db", exact=True).click()
    page.get_by_text("envelope.time").scroll_into_view_if_needed()
    yield "knows-file", page
    page.keyboard.press("Escape")


def leaving(page: Page) -> Iterator[tuple[str, Page]]:
    """Go as far as to a code that is another identity's."""
    page.get_by_role("button", name="Delete my identity").click()
    page.get_by_label("Your recovery code").fill(encode_recovery_code(bytes(ENTROPY_SIZE)))
    page.get_by_role("button", name="Delete and erase").click()
    page.get_by_text("That is the recovery code of another identity.").wait_for()
    yield "leave", page
    page.keyboard.press("Escape")
