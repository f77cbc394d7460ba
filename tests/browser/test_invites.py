"""Signing up in the browser at a relay that asks for an invite, and at one that takes nobody."""

import re
import secrets
from pathlib import Path

from playwright.sync_api import Browser, expect

from browser.people import Person, person
from halonyx.core.card import Card
from halonyx.core.identity import usid_of
from halonyx.core.recovery import ENTROPY_SIZE, account_keys, encode_recovery_code
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
        newcomer.is_told("An invite has 32 letters and digits.")
        field.fill("0" * 32)
        newcomer.press("Create my identity")
        newcomer.is_told("each invite is good once")
        expires = expiry(Millis(wall_clock()), 1)
        (invite,) = make_invites(relay.data / "identity.db", identity.SCHEMA, 1, expires)
        field.fill(f" {invite.upper()} ")
        newcomer.create()


def test_a_member_invites_a_friend(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="token", HALONYX_MEMBER_INVITES="1") as relay:
        (first,) = make_invites(relay.data / "identity.db", identity.SCHEMA, 1, expiry(Millis(wall_clock()), 1))
        with person(browser, relay.origin) as alice, person(browser, relay.origin) as bob:
            signs_up(alice, first)
            alice.head.get_by_role("button", name="Settings").click()
            settings = alice.dialog("Settings")
            asked: list[str] = []
            alice.page.on("request", lambda request: asked.append(request.url))
            settings.get_by_role("button", name="Invite someone to this relay").dblclick()
            made = settings.get_by_text(re.compile("^[0-9a-f]{32}$"))
            signs_up(bob, made.inner_text())
            # A second press before there was an answer would have used up a second one.
            assert [url for url in asked if url.endswith("/v1/invite")] == [f"{relay.origin}/v1/invite"]

            alice.page.keyboard.press("Escape")
            alice.head.get_by_role("button", name="Settings").click()
            expect(made).to_have_count(0)
            alice.press("Invite someone to this relay", settings)
            alice.is_told("You have made all the invites you may this week.")


def signs_up(newcomer: Person, invite: str) -> None:
    newcomer.press("Create my identity")
    newcomer.page.get_by_label("Invite").fill(invite)
    newcomer.create()


def test_an_identity_comes_back_at_a_relay_that_no_longer_has_it(browser: Browser, tmp_path: Path) -> None:
    asking = {"HALONYX_SIGNUP": "token", "HALONYX_CONTACT_REQUIRED": "true"}
    entropy = secrets.token_bytes(ENTROPY_SIZE)
    with running_relay(tmp_path, **asking) as relay, person(browser, relay.origin) as owner:
        (invite,) = make_invites(relay.data / "identity.db", identity.SCHEMA, 1, expiry(Millis(wall_clock()), 1))
        page = owner.page
        owner.press("I have a recovery code")
        page.get_by_label("Recovery code").fill(encode_recovery_code(entropy))
        owner.press("Recover")
        owner.is_told("This relay doesn't have your identity: to it you are new.")
        owner.is_told("wants to know your name and e-mail address. Give them, or choose another relay.")
        expect(page.get_by_label("Your name")).to_be_focused()
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("Your e-mail address").fill("ann@mail")
        owner.press("Recover")
        owner.is_told("an e-mail address is like ann@mail.example. Check both.")
        page.get_by_label("Your e-mail address").fill("ann@mail.example")
        owner.press("Recover")
        owner.is_told("This relay takes new people by invite. Ask whoever runs it")
        expect(page.get_by_label("Invite")).to_be_focused()
        page.get_by_label("Invite").fill(invite)
        owner.press("Recover")
        owner.is_told("No conversations yet")
        assert Card.parse(owner.card()).usid == usid_of(account_keys(entropy))


def test_where_nobody_needs_an_invite_nobody_is_offered_one(alice: Person) -> None:
    alice.head.get_by_role("button", name="Settings").click()
    expect(alice.dialog("Settings").get_by_text("Connected")).to_be_visible()
    expect(alice.page.get_by_role("button", name="Invite someone to this relay")).to_have_count(0)


def test_the_page_says_that_a_relay_is_closed(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_SIGNUP="closed") as relay, person(browser, relay.origin) as newcomer:
        newcomer.press("Create my identity")
        newcomer.is_told("This relay takes no new people.")
        expect(newcomer.page.get_by_label("Invite")).to_have_count(0)
        newcomer.press("I have a recovery code")
        expect(newcomer.page.get_by_text("This relay takes no new people.")).to_have_count(0)
        newcomer.page.get_by_label("Recovery code").fill(encode_recovery_code(secrets.token_bytes(ENTROPY_SIZE)))
        newcomer.press("Recover")
        newcomer.is_told("This relay takes no new people.")
        newcomer.is_told("If you made your identity at another relay, choose that one below.")
