"""Each guard as the text that makes it, the text that takes it away, and the tests of which one then fails."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Guard:
    """One guard.

    Attributes:
        what: What it keeps from happening.
        file: Where it stands, from the root of the repository.
        old: Text that occurs there once.
        new: What takes its place when it is switched off.
        test: File and name of the test that then fails.
    """

    what: str
    file: str
    old: str
    new: str
    test: str


CORE: Final = (
    Guard(
        "a record is signed by the account's Ed25519 key",
        "src/halonyx/core/identity.py",
        "record.ed25519.verify(labels.ACCOUNT_RECORD, body, classical)",
        "_ = classical",
        "tests/core/test_identity.py::test_both_signatures_are_checked",
    ),
    Guard(
        "a record is signed by the account's ML-DSA-65 key",
        "src/halonyx/core/identity.py",
        "record.mldsa65.verify(labels.ACCOUNT_RECORD, body, post_quantum)",
        "_ = post_quantum",
        "tests/core/test_identity.py::test_both_signatures_are_checked",
    ),
    Guard(
        "a record's keys give the USID",
        "src/halonyx/core/identity.py",
        "if record.usid != usid:",
        "if False:",
        "tests/core/test_identity.py::test_a_record_of_another_account_is_untrusted",
    ),
    Guard(
        "a record's version never goes back",
        "src/halonyx/core/identity.py",
        "if record.version < max(named, seen.version if seen else 0):",
        "if False:",
        "tests/core/test_identity.py::test_a_version_never_goes_back",
    ),
    Guard(
        "one version has one record",
        "src/halonyx/core/identity.py",
        "if seen is not None and record.version == seen.version and record.encoded != seen.encoded:",
        "if False:",
        "tests/core/test_identity.py::test_one_version_has_one_record",
    ),
    Guard(
        "a prekey is signed by its device",
        "src/halonyx/core/prekeys.py",
        "signing_key.verify(_LABELS[self.use], body, self.signature)",
        "_ = body",
        "tests/core/test_prekeys.py::test_another_device_cannot_pass_a_prekey_off_as_ours",
    ),
    Guard(
        "a prekey stands in its own place of a bundle",
        "src/halonyx/core/prekeys.py",
        "if prekey.use not in uses:",
        "if False:",
        "tests/core/test_prekeys.py::test_a_prekey_in_the_wrong_place_rejects_the_bundle",
    ),
    Guard(
        "an expired prekey is refused",
        "src/halonyx/core/prekeys.py",
        "if prekey.expiry <= now:",
        "if False:",
        "tests/core/test_prekeys.py::test_an_expired_prekey_rejects_the_bundle",
    ),
    Guard(
        "X25519 keys are canonical",
        "src/halonyx/core/primitives.py",
        'if self.raw[31] >= 0x7F and int.from_bytes(self.raw, "little") >= FIELD_PRIME:',
        "if False:",
        "tests/core/test_primitives.py::test_a_non_canonical_x25519_key_is_bad",
    ),
    Guard(
        "Ed25519 keys are not of small order",
        "src/halonyx/core/primitives.py",
        "if y >= FIELD_PRIME or y in SMALL_ORDER_Y:",
        "if y >= FIELD_PRIME:",
        "tests/core/test_primitives.py::test_a_small_order_ed25519_key_is_bad",
    ),
    Guard(
        "the length of a new chain is bounded before anything is hashed",
        "src/halonyx/core/ratchet.py",
        "if left + message.index > MAX_JUMP:",
        "if False:",
        "tests/core/test_ratchet.py::test_a_jump_over_a_dh_step_counts_both_chains",
    ),
    Guard(
        "a jump within a chain is bounded",
        "src/halonyx/core/ratchet.py",
        "if message.index - chain.index > MAX_JUMP:",
        "if False:",
        "tests/core/test_ratchet.py::test_a_jump_within_a_chain_is_bounded",
    ),
    Guard(
        "a message opens once",
        "src/halonyx/core/ratchet.py",
        "_unexpired(state.skipped, now).items() if other != slot}",
        "_unexpired(state.skipped, now).items()}",
        "tests/core/test_ratchet.py::test_messages_in_reverse_order_are_all_opened_and_no_key_is_left",
    ),
    Guard(
        "a message belongs to the session it names",
        "src/halonyx/core/ratchet.py",
        "if message.session_id != state.session_id:",
        "if False:",
        "tests/core/test_ratchet.py::test_a_message_that_its_sender_filed_under_another_session_is_refused",
    ),
    Guard(
        "skipped keys are bounded in number",
        "src/halonyx/core/ratchet.py",
        "if len(skipped) > MAX_SKIPPED:",
        "if False:",
        "tests/core/test_ratchet.py::test_skipped_keys_are_bounded_first_in_first_out",
    ),
    Guard(
        "a repeated handshake makes no second session",
        "src/halonyx/core/session.py",
        "if find(sessions, accepted.session_id, now) is not None:",
        "if False:",
        "tests/core/test_session.py::test_a_repeated_handshake_never_becomes_a_new_session",
    ),
    Guard(
        "padding is zero",
        "src/halonyx/core/padding.py",
        "if padding.count(0) != len(padding):",
        "if False:",
        "tests/core/test_padding.py::test_one_byte_anywhere_is_refused",
    ),
    Guard(
        "an envelope has one of seven sizes",
        "src/halonyx/core/padding.py",
        "if size_bytes <= bucket:\n            return bucket",
        "if size_bytes <= bucket:\n            return size_bytes",
        "tests/core/test_envelope.py::test_an_envelope_is_the_smallest_bucket_that_fits",
    ),
    Guard(
        "a first contact comes in a hybrid envelope",
        "src/halonyx/core/envelope.py",
        "if payload.record is not None and envelope.kem_ciphertext is None:",
        "if False:",
        "tests/core/test_envelope.py::test_a_first_contact_in_a_classical_envelope_is_refused",
    ),
    Guard(
        "one value has one encoding",
        "src/halonyx/core/encoding.py",
        "if self._at != len(self._data):",
        "if False:",
        "tests/core/test_encoding.py::test_a_trailing_byte_is_refused",
    ),
    Guard(
        "a scanned safety number is compared",
        "src/halonyx/core/safety_number.py",
        "return equal(scanned, encode_qr(theirs, ours))",
        "return True",
        "tests/core/test_safety_number.py::test_no_scan_with_a_bit_flipped_matches",
    ),
    Guard(
        "a file's path leads nowhere else",
        "src/halonyx/core/file_names.py",
        'if name in ("", ".", "..") or "/" in name',
        'if name in ("", ".") or "/" in name',
        "tests/core/test_container.py::test_paths_that_lead_elsewhere_are_refused",
    ),
    Guard(
        "a ciphertext commits to its key",
        "src/halonyx/core/chunked.py",
        "if not equal(self.commitment, header[SALT_SIZE:]):",
        "if False:",
        "tests/core/test_chunked.py::test_the_commitment_is_checked_before_anything_is_decrypted",
    ),
    Guard(
        "a signed call is of this minute",
        "src/halonyx/wire/http_signature.py",
        "if abs(now - self.created) > WINDOW_SECONDS:",
        "if False:",
        "tests/wire/test_http_signature.py::test_more_is_stale",
    ),
    Guard(
        "a signed call is about its body",
        "src/halonyx/wire/http_signature.py",
        'if not equal(digest.encode("utf-8"), content_digest(body).encode("ascii")):',
        "if False:",
        "tests/wire/test_http_signature.py::test_another_body_is_malformed",
    ),
    Guard(
        "an announcement is signed by the operator",
        "src/halonyx/wire/announcement.py",
        "operator.verify(ANNOUNCEMENT, data[:size], signature)",
        "_ = signature",
        "tests/wire/test_announcement.py::test_no_bit_and_no_byte_may_change",
    ),
)

CLIENT: Final = (
    Guard(
        "the relay holds the key that was pinned",
        "src/halonyx/client/transport.py",
        "relay_key.verify(RELAY_CHALLENGE, signed, challenge.signature)",
        "_ = (relay_key, signed)",
        "tests/client/test_account.py::test_a_relay_set_up_anew_under_the_same_name_is_not_trusted",
    ),
    Guard(
        "an envelope is taken in once, whatever its number",
        "src/halonyx/client/inbox.py",
        'return store.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", sha256(deliver.envelope), now) == 1',
        "return True",
        "tests/client/test_repair.py::test_an_old_envelope_under_a_new_id_does_not_look_like_a_broken_session",
    ),
    Guard(
        "a handshake without one-time keys is accepted once",
        "src/halonyx/client/inbox.py",
        "if not hello.is_one_time and store.one(",
        "if hello.is_one_time and store.one(",
        "tests/client/test_prekeys.py::test_a_handshake_without_one_time_keys_is_accepted_once",
    ),
    Guard(
        "a second record of one version stops sending",
        "src/halonyx/client/directory.py",
        "and named.hash != contact.record.hash:",
        "and False:",
        "tests/client/test_bad_input.py::test_a_contact_who_names_a_second_record_of_theirs_is_frozen",
    ),
    Guard(
        "a bundle is verified",
        "src/halonyx/client/directory.py",
        "bundle.verify(peer.device.signing_key, peer.fingerprint, now)",
        "_ = peer",
        "tests/client/test_directory.py::test_one_bad_prekey_discards_the_bundle",
    ),
    Guard(
        "an announcement is newer than the last",
        "src/halonyx/client/announcements.py",
        'if is_early or not found.may_follow(row["announced"]) or not found.is_current(now):',
        "if is_early or not found.is_current(now):",
        "tests/client/test_announcements.py::test_an_announcement_is_heard_once_and_no_older_one_after_it",
    ),
    Guard(
        "what was fetched is what was offered",
        "src/halonyx/client/saving.py",
        "if done != offer.ciphertext_size or digest.digest() != offer.ciphertext_hash:",
        "if done != offer.ciphertext_size:",
        "tests/client/test_files_local.py::test_an_altered_or_cut_ciphertext_is_another_one",
    ),
    Guard(
        "the page runs its own scripts alone",
        "src/halonyx/web/build.py",
        "script-src 'self'; worker-src",
        "script-src 'self' 'unsafe-inline'; worker-src",
        "tests/web/test_build.py::test_the_policy_lets_nothing_else_in",
    ),
    Guard(
        "a relay is asked for by the page of this machine alone",
        "src/halonyx/web/loopback.py",
        "if request.path.startswith(RELAYS) and not self._is_call_of_the_page(request):",
        "if False:",
        "tests/web/test_loopback.py::test_other_names_and_other_pages_reach_no_relay",
    ),
    Guard(
        "a redirect leads nowhere",
        "src/halonyx/web/loopback.py",
        "    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:",
        "    if False:",
        "tests/web/test_loopback.py::test_answers_without_end_and_redirects_are_not_passed_on",
    ),
    Guard(
        "nothing invisible reaches a terminal",
        "src/halonyx/cli/escape.py",
        "return unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _BLANK",
        "return character in _BLANK",
        "tests/cli/test_escape.py::test_nothing_hidden_is_left",
    ),
)
