"""Two people write to each other in two browsers."""

from browser.people import Person


def test_messages_arrive_both_ways_and_are_confirmed(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    for number in range(3):
        alice.write("Bob", f"hello {number}")
    for number in range(3):
        bob.sees(f"hello {number}")
    bob.write("Alice", "Hello Alice")
    alice.sees("Hello Alice")

    for number in range(3):
        alice.sees(f"hello {number}", "delivered")
    bob.sees("Hello Alice", "delivered")
    assert alice.texts() == bob.texts() == ["hello 0", "hello 1", "hello 2", "Hello Alice"]


def test_a_reload_keeps_everything(pair: tuple[Person, Person]) -> None:
    alice, bob = pair
    alice.write("Bob", "before")
    bob.sees("before")
    bob.page.reload()
    bob.open("Alice")
    bob.sees("before")
    bob.write("Alice", "after")
    alice.sees("after")
    alice.write("Bob", "and again")
    bob.sees("and again")
    assert bob.texts() == ["before", "after", "and again"]
