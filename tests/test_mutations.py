"""Every guard that `make mutations` switches off still stands where it stood, and the page lists it."""

from pathlib import Path

import pytest

from mutations.guards import Guard
from mutations.run import GUARDS, PAGE, ROOT, copy_of, fails, page, without
from test_threat_model import titles_of


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.file}: {guard.what}")
def test_a_guard_stands_once_and_its_test_exists(guard: Guard) -> None:
    file, _, name = guard.test.partition("::")

    assert (ROOT / guard.file).read_text("utf-8").count(guard.old) == 1
    assert name in titles_of(file)


def test_the_page_lists_them() -> None:
    text = PAGE.read_text("utf-8")

    assert page(text) == text, "make mutations"


def test_a_guard_that_is_missing_is_noticed_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    """With one guard, so that the runner itself is tested: the others run in `make mutations`."""
    guard = next(guard for guard in GUARDS if guard.file == "src/halonyx/core/padding.py")
    copy = copy_of(ROOT, tmp_path)

    assert not fails([guard.test], copy)
    with without(guard, copy):
        assert fails([guard.test], copy)
    assert not fails([guard.test], copy)
