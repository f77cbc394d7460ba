"""Two people, one relay, step by step: what happens, and what the relay knows about it.

Run by `make demo`. Everything lives in a temporary folder. Each ✓ was checked just before it was printed; if one turns
out false, the demo says so and ends with status 1.
"""

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

HALONYX: Final = str(Path(sys.executable).with_name("halonyx"))
STARTING_SECONDS: Final = 30
SETTLING_SECONDS: Final = 10
WIDTH: Final = 100
# Long enough that random bytes don't spell them by chance when the relay's files are searched.
ALICE: Final = "Alice Liddell"
BOB: Final = "Bob Cratchit"
FIRST: Final = "Hello Bob, nobody between us can read this."
REPLY: Final = "Hello Alice, it reached me, and I know it is from you."
WHILE_AWAY: Final = "Bring the blue notebook tomorrow."
WHILE_DEAD: Final = "And a pencil, if you have one."
FILES: Final = {
    "identity.db": "who may change an account: public keys under a scrambled address",
    "app.db": "mailboxes: whose turn it is, what waits, and hashes of the keys that open them for writing",
    "keys.db": "public keys for others to fetch, sealed, so that the relay itself can't read them",
}


class Untrue(Exception):
    """A claim of this demo did not hold."""


class Relay:
    """A relay in a process of its own."""

    def __init__(self, folder: Path, program: tuple[str, ...] = (HALONYX, "relay")) -> None:
        self.program = program
        self.data, self.log = folder / "relay", folder / "relay.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.origin = f"http://localhost:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return once it answers."""
        with self.log.open("ab") as log:
            command = [*self.program, "--port", str(self.port), "--data", str(self.data)]
            self.process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
        deadline = time.monotonic() + STARTING_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Untrue(f"the relay starts:\n{self.log.read_text()}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Tell whether it is ready to serve."""
        connection = http.client.HTTPConnection("localhost", self.port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as `kill -9` does: no warning, nothing tidied up."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def rows(self, file: str, query: str) -> list[tuple[Any, ...]]:
        """Read one of its files from outside, as a thief would."""
        database = apsw.Connection(str(self.data / file), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return list(database.execute(query))
        finally:
            database.close()


Played = TypeVar("Played", bound=Relay)


@dataclass(frozen=True)
class Person:
    """Someone at a terminal of their own."""

    name: str
    home: Path
    relay: Relay

    def run(self, *arguments: str) -> list[dict[str, Any]]:
        """Run one command, show it, and return what it printed."""
        shown = " ".join(shorten(argument) for argument in arguments)
        print(f"    {self.name.split()[0]}$ halonyx {shown}")
        done = subprocess.run(
            [HALONYX, "--json", *arguments],
            env=environment(HALONYX_HOME=str(self.home), HALONYX_RELAY=self.relay.origin, HALONYX_PASSPHRASE=self.name),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Untrue(f"the command ends well:\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def texts(self) -> list[str]:
        """Receive, and return the messages alone."""
        return [event["text"] for event in self.run("receive") if "text" in event]


def environment(**own: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HALONYX_")}
    return kept | own


def shorten(argument: str) -> str:
    if argument.startswith("halonyx:"):
        return argument[:20] + "…"
    return f'"{argument}"' if " " in argument else argument


def step(number: int, title: str, words: str) -> None:
    print(f"\n{number}. {title}")
    print(textwrap.fill(words, WIDTH, initial_indent="   ", subsequent_indent="   "))


def claim(words: str, *, holds: bool) -> None:
    if not holds:
        raise Untrue(words)
    print(textwrap.fill(words, WIDTH, initial_indent="    ✓ ", subsequent_indent="      "))


def meet(folder: Path, relay: Relay) -> tuple[Person, Person]:
    relay.start()
    claim(f"A relay runs on this machine: {relay.origin}", holds=relay.answers())
    alice, bob = Person(ALICE, folder / "alice", relay), Person(BOB, folder / "bob", relay)
    make_identities(alice, bob)
    exchange_cards(alice, bob)
    return alice, bob


def make_identities(alice: Person, bob: Person) -> None:
    step(
        2,
        "Alice and Bob make their identities",
        "No phone number, no e-mail address, no password at the relay. Each gets a USID, a name computed from their "
        "own keys: whoever has it can check those keys without asking anyone. The recovery code brings it all back.",
    )
    for person in (alice, bob):
        made = person.run("account", "create")[0]
        print(f"      USID           {made['usid']}\n      recovery code  {made['recovery_code']}")
    stores = [(person.home / "store.db").read_bytes()[:16] for person in (alice, bob)]
    # An open SQLite file would begin with its name.
    claim("Each has a store of their own, encrypted.", holds=all(b"SQLite" not in beginning for beginning in stores))


def exchange_cards(alice: Person, bob: Person) -> None:
    step(
        3,
        "They exchange contact cards",
        "A card holds a USID and a relay. They give it to each other however they like. Adding someone's card "
        "lets that person write to you.",
    )
    cards = [person.run("card")[0]["card"] for person in (alice, bob)]
    added = bob.run("contact", "add", cards[0], "--name", ALICE) + alice.run("contact", "add", cards[1], "--name", BOB)
    claim("Each has the other as a contact.", holds=[contact["name"] for contact in added] == [ALICE, BOB])


def compare_numbers(alice: Person, bob: Person) -> None:
    step(
        4,
        "They compare their safety number",
        "It is computed from both people's keys. If somebody sat between them, the two would see different numbers. "
        "They read it to each other by phone.",
    )
    theirs = bob.run("verify", alice.name)[0]["safety_number"]
    ours = alice.run("verify", bob.name)[0]["safety_number"]
    print(f"      Alice sees  {ours}\n      Bob sees    {theirs}")
    claim("It is the same number on both sides.", holds=ours == theirs)
    verified = alice.run("verify", bob.name, "--number", theirs)[0]["verified"]
    claim("Alice has marked Bob as verified.", holds=verified)


def talk(alice: Person, bob: Person) -> None:
    step(5, "They talk", "Each message is encrypted on one machine and opened on the other, with a key used once.")
    sent = alice.run("send", bob.name, FIRST)[0]
    claim(f"Alice's message is {sent['state']}: the relay has it on disk.", holds=sent["state"] == "accepted")
    received = bob.texts()
    claim(f"Bob reads: {received[0]}", holds=received == [FIRST])
    bob.run("send", alice.name, REPLY)
    received = alice.texts()
    claim(f"Alice reads: {received[0]}", holds=received == [REPLY])


def write_to_someone_away(alice: Person, to: str, relay: Relay) -> None:
    step(
        6,
        "Bob is away, and a message waits for him",
        "Nothing of Bob's runs now. The relay keeps the message until he fetches it.",
    )
    sent = alice.run("send", to, WHILE_AWAY)[0]
    claim(f"Alice's message is {sent['state']}.", holds=sent["state"] == "accepted")
    waiting = relay.rows("app.db", "SELECT seq, size, body FROM envelope ORDER BY seq")
    columns = [name for _, name, *_ in relay.rows("app.db", "PRAGMA table_info(envelope)")]
    print("      What waits at the relay:")
    print(f"      columns {', '.join(columns)}")
    for sequence, size, body in waiting:
        print(f"      number {sequence}, {size} bytes: {bytes(body[:24]).hex()}…")
    claim(
        "Two envelopes of one size: her message, and her device's receipt for Bob's reply. They look alike.",
        holds=[size for _, size, _ in waiting] == [1024, 1024],
    )
    claim("No column names a sender.", holds=not any("sender" in name or "from" in name for name in columns))
    bodies = b"".join(bytes(body) for *_, body in waiting)
    claim("The words are not in it.", holds=WHILE_AWAY.encode() not in bodies)


def kill_the_relay(alice: Person, bob: Person, relay: Relay) -> None:
    step(
        7,
        "The relay is killed, and started again",
        "kill -9: no goodbye, nothing tidied up. Meanwhile Alice writes again; her machine keeps what it can't send.",
    )
    relay.kill()
    claim("The relay is gone.", holds=not relay.answers())
    sent = alice.run("send", bob.name, WHILE_DEAD)[0]
    claim(f"Alice's message is {sent['state']}: safe on her machine.", holds=sent["state"] == "waiting")
    relay.start()
    print("    (the relay runs again)")
    alice.run("contact", "list")
    print("      (any command of Alice's sends what waits)")
    received = bob.texts()
    for text in received:
        print(f"      Bob reads: {text}")
    claim("Both messages arrived, in the order they were written.", holds=received == [WHILE_AWAY, WHILE_DEAD])
    claim("Asked again, there is nothing more: each was shown once.", holds=bob.texts() == [])
    told = [entry["text"] for entry in bob.run("history", alice.name)]
    claim("Bob's history has every message once.", holds=told == [FIRST, REPLY, WHILE_AWAY, WHILE_DEAD])
    alice.run("receive")
    states = [entry["state"] for entry in alice.run("history", bob.name) if entry["direction"] == "out"]
    claim("Alice knows that Bob's device has all of hers.", holds=states == ["delivered"] * 3)


def look_into_the_relay(people: tuple[Person, Person], relay: Relay, folder: Path) -> None:
    step(
        8,
        "What the relay's files contain about all this",
        "These are all its databases, as somebody who steals the machine would see them.",
    )
    deadline = time.monotonic() + SETTLING_SECONDS
    while count_waiting(relay) and time.monotonic() < deadline:
        time.sleep(0.05)  # the last acknowledgement is on its way to the disk
    for file, words in FILES.items():
        print(f"\n    {file}: {words}")
        for (table,) in relay.rows(file, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"):
            show_table(relay, file, table)
    print()
    claim("No message is left: what was fetched is deleted.", holds=count_waiting(relay) == 0)
    stored = b"\0".join(file.read_bytes() for file in files_of(relay, folder))
    accounts = [person.run("account", "show")[0] for person in people]
    usids, addresses = ([bytes.fromhex(account[key]) for account in accounts] for key in ("usid", "address"))
    claim(
        f"None of the four messages is in the relay's files ({len(stored) // 1024:,} KiB searched, log included).",
        holds=not any(
            form in stored for text in (FIRST, REPLY, WHILE_AWAY, WHILE_DEAD) for form in forms(text.encode())
        ),
    )
    claim("No name is in them.", holds=not any(name.encode() in stored for name in (ALICE, BOB)))
    claim("No USID is in them.", holds=not any(form in stored for usid in usids for form in forms(usid)))
    claim(
        "Nor is an address, by which the relay finds a mailbox: it is stored scrambled, with keys kept elsewhere.",
        holds=not any(form in stored for address in addresses for form in forms(address)),
    )
    print(
        textwrap.fill(
            "What it does learn: which mailbox got something, when, in which padded size, and the network "
            "addresses of those who connect.",
            WIDTH,
            initial_indent="      ",
            subsequent_indent="      ",
        )
    )


def count_waiting(relay: Relay) -> int:
    return int(relay.rows("app.db", "SELECT count(*) FROM envelope")[0][0])


def show_table(relay: Relay, file: str, table: str) -> None:
    count = relay.rows(file, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 (a name from the schema)
    print(f"      {table}: {count} row{'' if count == 1 else 's'}")
    columns = [name for _, name, *_ in relay.rows(file, f"PRAGMA table_info({table})")]
    for row in relay.rows(file, f"SELECT * FROM {table} LIMIT 1"):  # noqa: S608
        values = [f"{name} {picture(value)}" for name, value in zip(columns, row, strict=True)]
        print(textwrap.fill(" · ".join(values), WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10))


def picture(value: object) -> str:
    match value:
        case bytes() if len(value) > 8:
            return f"{value[:4].hex()}… ({len(value):,} bytes)"
        case bytes():
            return value.hex()
        case _:
            return str(value)


def files_of(relay: Relay, folder: Path) -> Iterator[Path]:
    # "reserve" is blank space that the relay gives up when the disk is full.
    yield from (path for path in relay.data.rglob("*") if path.is_file() and path.name != "reserve")
    yield relay.log
    yield from folder.glob("relay.secrets*")


def forms(content: bytes) -> tuple[bytes, ...]:
    """Return how the content could stand in a file: plain, as hexadecimal, as base64 of either alphabet."""
    plain, safe = base64.b64encode(content), base64.urlsafe_b64encode(content)
    return (content, content.hex().encode(), content.hex().upper().encode(), plain.rstrip(b"="), safe.rstrip(b"="))


def show(folder: Path, relay: Relay) -> None:
    step(
        1,
        "A relay starts",
        "It carries messages between people who are not online at the same time. Anybody can run one.",
    )
    alice, bob = meet(folder, relay)
    compare_numbers(alice, bob)
    talk(alice, bob)
    write_to_someone_away(alice, BOB, relay)
    kill_the_relay(alice, bob, relay)
    look_into_the_relay((alice, bob), relay, folder)


def play(make: Callable[[Path], Played], show: Callable[[Path, Played], None], first: str, last: str) -> int:
    """Run a demo in a folder that is removed afterwards, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="halonyx-demo-") as name:
        relay = make(Path(name))
        print(first)
        try:
            show(Path(name), relay)
        except Untrue as untrue:
            print(f"\n    ✗ This did not hold: {untrue}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            relay.kill()
    print(f"\nEverything that was claimed was true. {last}")
    return 0


def main() -> int:
    return play(
        Relay,
        show,
        "Two people talk through a relay that neither of them has to trust.",
        "To do it by hand: make run, then see README.md.",
    )


if __name__ == "__main__":
    sys.exit(main())
