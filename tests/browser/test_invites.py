"""Signing up in the browser at a relay that asks for an invite, and at one that takes nobody."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from browser.people import person
from halonyx.core.types import Millis
from halonyx.relay.context import wall_clock
from halonyx.relay.store import identity
from halonyx.relay.store.invites import expiry, make_invites
from relay_process import running_relay


def test_the_page_asks_for_an_invite_and_takes_one(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="token") as relay, person(browser, relay.origin) as newcomer:
        page, field = newcomer.page, newcomer.page.get_by_label("Invite")
        expect(page.get_by_role("button", name="Create my identity")).to_be_enabled()
        expect(field).to_have_count(0)
        newcomer.press("Create my identity")
        newcomer.is_told("This relay takes new people by invite.")
        field.fill("0" * 31)
        newcomer.press("Create my identity")
        newcomer.is_told("look right. Check for a typing error")
        field.fill("0" * 32)
        newcomer.press("Create my identity")
        newcomer.is_told("each invite is good once")
        expires = expiry(Millis(wall_clock()), 1)
        (invite,) = make_invites(relay.data / "identity.db", identity.SCHEMA, 1, expires)
        field.fill(f" {invite.upper()} ")
        newcomer.create()


def test_the_page_says_that_a_relay_is_closed(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="closed") as relay, person(browser, relay.origin) as newcomer:
        newcomer.press("Create my identity")
        newcomer.is_told("This relay takes no new people.")
        expect(newcomer.page.get_by_label("Invite")).to_have_count(0)
