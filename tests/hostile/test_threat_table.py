"""The table of lies in docs/threat-model.md is what the tests are held to, and no lie is without one."""

from hostile.liars import expected
from hostile.threat_table import PAGE, browser_tests, page, python_tests
from lying_relay.catalogue import LIES


def test_every_lie_has_a_row_and_a_test_for_each_client() -> None:
    assert set(expected()) == set(python_tests()) == set(browser_tests()) == set(LIES)


def test_the_page_is_up_to_date() -> None:
    """If this fails: make threat-table."""
    text = PAGE.read_text(encoding="utf-8")

    assert text == page(text)
