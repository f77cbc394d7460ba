"""What a build is: its files, its hash, the policy of its page."""

from halonyx.web.build import Build, File, hash_of, policy, with_sockets


def test_the_hash_covers_every_path_and_every_byte() -> None:
    one, two = File("a.js", b"first"), File("b.js", b"second")
    hashes = [
        hash_of(files)
        for files in (
            [one, two],
            [two, one],
            [one],
            [File("a.js", b"firs"), File("b.js", b"tsecond")],
            [File("a.jsfirst", b""), two],
            [one, File("c.js", b"second")],
        )
    ]

    assert len(set(hashes)) == len(hashes)
    assert hash_of([File("a.js", b"first"), File("b.js", b"second")]) == hashes[0]


def test_only_what_is_named_by_its_hash_is_kept_for_ever() -> None:
    assert File("index.html", b"").cache_control == "no-cache"
    assert File("service-worker.js", b"").cache_control == "no-cache"
    assert "immutable" in File("assets/main-4f9c.js", b"").cache_control


def test_compressing_gives_the_same_bytes_every_time() -> None:
    assert File("a.js", b"x" * 1000).compressed == File("a.js", b"x" * 1000).compressed
    assert File("icon.png", b"x" * 1000).compressed is None


def test_the_policy_lets_nothing_else_in() -> None:
    rules = dict(rule.split(" ", 1) for rule in policy(with_sockets(["https://relay.example"])).split("; "))

    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self' https://relay.example wss://relay.example"
    assert rules["script-src"] == "'self'"
    assert rules["require-trusted-types-for"] == "'script'"
    assert not any(word in text for text in rules.values() for word in ("unsafe", "data:", "*"))


def test_a_build_shows_no_content() -> None:
    build = Build({"a.js": File("a.js", b"alert(1)")}, "00")

    assert "alert" not in repr(build)
