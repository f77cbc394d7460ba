"""The operator's announcement in the page, and the form of a relay that asks who people are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from browser.people import NARROW, person
from browser.screens import LOOKS
from browser.test_accessible import TOO_WIDE, axe
from halonyx.core.types import DAY, HOUR, Millis
from halonyx.relay.announcing import announce
from halonyx.relay.context import wall_clock
from halonyx.relay.secrets import read
from halonyx.relay.settings import RelaySettings, load_settings
from halonyx.relay.store.details import read_all
from halonyx.relay.store.sealing import sealing_key
from relay_process import RelayProcess, running_relay

MARKUP = "<img src=x onerror=\"document.title='ran'\"> \u202e*Sunday* &amp; Monday"


def settings_of(relay: RelayProcess) -> RelaySettings:
    return load_settings(data=relay.data)


def shown(page: Page) -> list[str]:
    return page.locator(".announced").all_inner_texts()


def test_the_operator_is_heard_apart_from_everybody_until_it_is_closed(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay, person(browser, relay.origin) as alice:
        alice.create()
        page, host = alice.page, relay.origin.removeprefix("http://")
        announce(settings_of(relay), MARKUP, Millis(wall_clock() - 2 * HOUR))
        box = page.locator(".announcement")
        expect(box).to_contain_text(f"From the operator of {host}")
        assert shown(page) == [MARKUP]
        assert page.title() != "ran"
        expect(page.locator("li.message")).to_have_count(0)
        expect(page.locator("main .announcement")).to_have_count(0)

        page.reload()
        expect(box).to_be_visible()
        assert shown(page) == [MARKUP]
        announce(settings_of(relay), "x" * 2000, wall_clock())
        # By our clock it is the second within an hour: it comes when the hour is over.
        page.reload()
        expect(box).to_be_visible()
        assert shown(page) == [MARKUP]

        page.get_by_role("button", name="Close this announcement").click()
        expect(box).to_have_count(0)
        page.reload()
        expect(alice.head).to_be_visible()
        expect(box).to_have_count(0)


def test_who_comes_later_hears_it_and_a_long_one_fits_a_phone(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path) as relay:
        announce(settings_of(relay), "x" * 2000, Millis(wall_clock() - DAY))
        with person(browser, relay.origin, viewport=NARROW) as bob:
            bob.create()
            expect(bob.page.locator(".announcement")).to_be_visible()
            for look in LOOKS:
                look.apply(bob.page)
                assert bob.page.evaluate(TOO_WIDE) == []
                assert axe(bob.page) == []
            bob.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(days=6, hours=1))
            bob.page.reload()
            expect(bob.head).to_be_visible()
            expect(bob.page.locator(".announcement")).to_have_count(0)  # its seven days are over


def test_the_page_asks_who_somebody_is_only_where_the_operator_does(browser: Browser, tmp_path: Path) -> None:
    with running_relay(tmp_path, HALONYX_CONTACT_REQUIRED="true") as relay, person(browser, relay.origin) as newcomer:
        page = newcomer.page
        expect(page.get_by_text("no e-mail")).to_be_visible()
        expect(page.get_by_label("Your name")).to_have_count(0)
        newcomer.press("Create my identity")
        newcomer.is_told("The operator of this relay wants to know your name and e-mail address.")
        newcomer.is_told("Your contacts don't, and no other relay does.")
        expect(page.get_by_text("no e-mail")).to_have_count(0)
        page.get_by_label("Your name").fill("Ann Example")
        page.get_by_label("Your e-mail address").fill("ann@")
        newcomer.press("Create my identity")
        newcomer.is_told("an e-mail address is like ann@mail.example. Check both.")
        page.get_by_label("Your e-mail address").fill(" ann@mail.example ")
        newcomer.create()
        key = sealing_key(read(settings_of(relay).secrets_path).identity_pepper)
        (details,) = read_all(relay.data / "identity.db", key)
        assert (details.name, details.email) == ("Ann Example", "ann@mail.example")
        assert "Ann Example" not in newcomer.card()
