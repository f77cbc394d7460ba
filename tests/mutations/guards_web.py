"""The same for the browser client, whose guards are the same in another language."""

from typing import Final

from mutations.guards import Guard

BROWSER: Final = (
    Guard(
        "a record is signed by both keys of the account",
        "web/src/core/identity.ts",
        "await fields.mldsa65.verify(labels.ACCOUNT_RECORD, body, postQuantum)",
        "void postQuantum",
        "web/tests/core/identity.test.ts::checks both signatures, and their label",
    ),
    Guard(
        "a record's keys give the USID",
        "web/src/core/identity.ts",
        "if (!sameBytes(record.usid, usid)) throw",
        "if (usid.length === 0) throw",
        "web/tests/core/identity.test.ts::another account's is untrusted, the same keys with another salt too",
    ),
    Guard(
        "a record's version never goes back",
        "web/src/core/identity.ts",
        "if (record.version < Math.max(named, seen?.version ?? 0)) {",
        "if (record.version < Math.min(named, 0)) {",
        "web/tests/core/identity.test.ts::a version never goes back behind the one seen, nor the one named",
    ),
    Guard(
        "a bundle is verified",
        "web/src/client/directory.ts",
        "await bundle.verify(peer.device.signingKey, peer.fingerprint, now)",
        "void peer",
        "web/tests/hostile/directory_lies.test.ts::prekeys-of-another",
    ),
    Guard(
        "the length of a new chain is bounded before anything is hashed",
        "web/src/core/ratchet.ts",
        "if (left + message.index > MAX_JUMP) throw",
        "if (left < 0) throw",
        "web/tests/core/ratchet.test.ts::a forged index or length and a duplicate are refused before any cryptography",
    ),
    Guard(
        "skipped keys are bounded in number",
        "web/src/core/ratchet.ts",
        "if (skipped.size <= MAX_SKIPPED) break",
        "break",
        "web/tests/core/ratchet.test.ts::skipped keys are bounded, first in first out",
    ),
    Guard(
        "a message belongs to the session it names",
        "web/src/core/ratchet.ts",
        "if (!sameBytes(message.sessionId, state.sessionId)) throw",
        "if (state.sessionId.length === 0) throw",
        "web/tests/core/ratchet.test.ts::a message that its sender filed under another session is refused",
    ),
    Guard(
        "a scanned safety number is compared",
        "web/src/core/safety_number.ts",
        "return equal(scanned, encodeQr(theirs, ours))",
        "return encodeQr(theirs, ours).length === scanned.length",
        "web/tests/core/safety_number.test.ts::a scan matches what the other side shows and not our own code",
    ),
    Guard(
        "the relay holds the key that was pinned",
        "web/src/client/transport.ts",
        "await relayKey.verify(RELAY_CHALLENGE, signed, challenge.signature)",
        "void [relayKey, signed]",
        "web/tests/client/transport.test.ts::is not believed with another key than the pinned one",
    ),
    Guard(
        "an envelope is taken in once, whatever its number",
        "web/src/client/inbox.ts",
        "if ((await tx.get(table.seen, envelope)) !== undefined) return false",
        "",
        "web/tests/client/inbox.test.ts::the same bytes under another number are taken in once",
    ),
    Guard(
        "an announcement is signed by the operator",
        "web/src/wire/announcement.ts",
        "await operator.verify(ANNOUNCEMENT, data.slice(0, data.length - SIGNATURE_SIZE), signature)",
        "void signature",
        "web/tests/client/announcements.test.ts::by nobody, by another, altered or cut off changes nothing",
    ),
    Guard(
        "nobody's address is shown before the person agreed",
        "web/src/client/jobs.ts",
        "if (!contact.mayGoDirect && iceServers.length === 0) {",
        "if (contact.id < 0) {",
        "web/tests/client/transfers.test.ts::nobody's address is shown before the person agreed or compared numbers",
    ),
)
