"""Each guard as the text that makes it, the text that takes it away, and the test that then fails. Here: the core."""

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
    Guard(
        "an announcement follows an hour later",
        "src/halonyx/wire/announcement.py",
        "return self.time >= former + APART",
        "return self.time >= former",
        "tests/wire/test_announcement.py::test_an_hour_apart_and_for_seven_days",
    ),
    Guard(
        "and is of these seven days",
        "src/halonyx/wire/announcement.py",
        "return now - LIFETIME < self.time <= now + AHEAD",
        "return self.time <= now + AHEAD",
        "tests/wire/test_announcement.py::test_an_hour_apart_and_for_seven_days",
    ),
    Guard(
        "a skipped key lives thirty days",
        "src/halonyx/core/ratchet.py",
        "if kept.stored + SKIPPED_LIFETIME <= now:",
        "if False:",
        "tests/core/test_ratchet.py::test_a_skipped_key_lives_thirty_days",
    ),
    Guard(
        "there is one suite",
        "src/halonyx/core/handshake.py",
        "if suite != SUITE_PQXDH:",
        "if False:",
        "tests/core/test_bad_input.py::test_unknown_version_or_suite",
    ),
    Guard(
        "kinds that are reserved are refused",
        "src/halonyx/core/content.py",
        "if number not in _BODY_CHECKS:",
        "if number not in {*Kind}:",
        "tests/core/test_content.py::test_a_reserved_or_unknown_kind_is_unsupported",
    ),
    Guard(
        "files are padded",
        "src/halonyx/core/container.py",
        "    return padded\n",
        "    return size_bytes\n",
        "tests/core/test_container.py::test_padding_is_padme_from_256_kib_on",
    ),
    Guard(
        "an envelope that is delivered has one of seven sizes",
        "src/halonyx/wire/frames.py",
        "        if len(envelope) not in ENVELOPE_SIZES:\n            raise Malformed",
        "        if not ENVELOPE_SIZES:\n            raise Malformed",
        "tests/wire/test_frames.py::test_an_envelope_of_any_size_parses_in_submit_but_only_a_bucket_in_deliver",
    ),
    Guard(
        "a frame has a bound",
        "src/halonyx/wire/frames.py",
        "if not 2 <= len(data) <= MAX_FRAME:",
        "if len(data) < 2:",
        "tests/wire/test_frames.py::test_a_frame_over_66_kib_is_refused_before_it_is_read",
    ),
)
