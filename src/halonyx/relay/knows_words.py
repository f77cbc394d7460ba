"""What each column of the relay's files holds, in plain sentences; what it could tell a court, and what it can't.

One sentence a column: a column without one stops `knows`, and the test of it. The same words are printed by
`halonyx relay knows` and shown by the web client.
"""

from typing import Final

_ACCOUNT: Final = "A pseudonym of the account's address under this file's own secret; without both it names nobody."
_MAILBOX: Final = "Which mailbox it belongs to, by a number that only this file has."

COLUMNS: Final[dict[str, dict[str, str]]] = {
    "identity.db": {
        "account.row": _ACCOUNT,
        "account.management_key": "The public key that may change or delete the account. It stays after a deletion.",
        "account.sealed_record_hash": "Which sealed record is current, encrypted. Empty after a deletion.",
        "account.highest_device": "The largest device number ever used, so that none is used twice. It stays, too.",
        "device.row": _ACCOUNT,
        "device.device": "The number of each device, 1 to 255.",
        "device.login_key": "The public key by which the device logs in.",
        "intent.id": "Counts changes of accounts that are under way.",
        "intent.sealed_address": "The address of an account that is being changed, encrypted; gone when that is done.",
        "call.name": "A pseudonym of a signed call of the last minutes, so that it isn't taken twice. Not whose it is.",
        "call.expires": "When such a call is too old to be taken again. Then the row goes.",
        "contact_details.row": _ACCOUNT,
        "contact_details.sealed": "The name and e-mail address that sign-up asked for, encrypted for the operator.",
        "invite.hash": "A hash of each invite that was not used yet. Not who made it.",
        "invite.expires": "The day on which it expires.",
        "minted.row": _ACCOUNT,
        "minted.week": "This week: how many invites a member made is forgotten with it.",
        "minted.count": "How many invites the member made this week. Not which, and not for whom.",
    },
    "app.db": {
        "account.id": "A number for the account in this file. Later accounts have larger ones.",
        "account.name": _ACCOUNT,
        "account.access_hash": "A hash of the key that contacts show to write to the account.",
        "account.request_hash": "A hash of the key that strangers with the contact card show.",
        "mailbox.id": "A number for the mailbox in this file. Later ones have larger numbers.",
        "mailbox.name": "A pseudonym of address and device under this file's own secret.",
        "mailbox.account": "Which account it belongs to, by its number.",
        "mailbox.epoch": "A random number, made with the mailbox and anew by a restore.",
        "mailbox.next_seq": "One more than the envelopes that the device has got since then.",
        "envelope.row": "The order in which all envelopes that wait came in.",
        "envelope.mailbox": _MAILBOX,
        "envelope.seq": "Its place among the envelopes of that mailbox.",
        "envelope.envelope_id": "A random number by which a repetition is known.",
        "envelope.time": "When it came in, to the millisecond.",
        "envelope.is_request": "Whether it came by the key for strangers.",
        "envelope.size": "Its padded size; there are only a few.",
        "envelope.body": "The encrypted envelope, until the device has it, and at most for the retention. No sender.",
        "drop_file.id": "A random number for each encrypted file that is kept.",
        "drop_file.name": "A pseudonym of the file's random id; the file has the same name.",
        "drop_file.mailbox": "Whose quota it counts for: the mailbox of whoever offered it.",
        "drop_file.size": "Its padded size in bytes.",
        "drop_file.received": "How many of them are there.",
        "drop_file.created": "The day on which the upload began. Not the hour.",
        "drop_file.delete_hash": "A hash of the key by which either side may delete it.",
        "drop_file.upload_hash": "A hash of the token by which the upload goes on.",
        "sqlite_sequence.name": "The database's own: which of its tables has numbers that are never used again.",
        "sqlite_sequence.seq": "The largest such number so far: how many mailboxes there ever were; of files, nothing.",
    },
    "keys.db": {
        "record.row": _ACCOUNT,
        "record.hash": "A hash of the sealed record.",
        "record.blob": "The account's record, encrypted under a key that only those with the contact card have.",
        "prekey.row": _ACCOUNT,
        "prekey.device": "Which device it is for.",
        "prekey.use": "Which of five kinds of public key it is.",
        "prekey.id": "Its number, given by the device in order.",
        "prekey.blob": "A public key for whoever writes next, encrypted like the record.",
        "high_water.row": _ACCOUNT,
        "high_water.device": "Which device it is for.",
        "high_water.use": "Which of five kinds of public key it counts.",
        "high_water.id": "The largest number handed out, so that no key is given twice.",
        "fetch.row": _ACCOUNT,
        "fetch.device": "Which device somebody asked keys of in the last minutes. Not who asked.",
        "fetch.fetch_id": "A random number by which a repeated request is known.",
        "fetch.expires": "When that is forgotten.",
        "fetch.bundle": "The encrypted keys that were handed out, for the case that the answer got lost.",
    },
}
"""By file, then `table.column`. Contact details are a table of those relays alone whose operator asks for them."""

BESIDE: Final[dict[str, str]] = {
    "secrets file": "Three secrets without which no pseudonym can be computed, and the relay's own keys. Kept apart.",
    "drop folder": (
        "Encrypted files that wait to be fetched, for 14 days or as many as the operator says. Their keys were never "
        "here. Of a copied file the date tells the day of the upload; the disk itself notes the second it was written."
    ),
    "announcement file": "What the operator announced last: the same for everybody. Not who has heard it.",
    "memory": (
        "While it runs: which network addresses are connected, which device is logged in on which connection, and how "
        "often each network address called, under a key that changes daily. Nothing of it is written down."
    ),
    "log": "Events of the program itself, without a field for a person, a network address or a message.",
    "admin log": (
        "When the relay was started, stopped, copied and put back, which settings were changed, when something was "
        "announced, and how many invites were made. Not for whom."
    ),
    "write-ahead logs": (
        "The last changes of the databases, half a minute's worth: what was deleted since, and the order of it all."
    ),
}

CAN_TELL: Final[tuple[str, ...]] = (
    "If the court names an address: whether it has an account here, how many devices, and their public keys.",
    "How many envelopes wait for it, when each came in, how large they are, and which came by the key for strangers.",
    "The envelopes that wait, as they are: encrypted, for a key that only the device has.",
    "How many envelopes its mailbox has had, how many one-time keys are used up, and how large its files here are.",
    "If it were made to watch from now on: from which network address the device comes, when, and how much it gets.",
)

CANNOT_TELL: Final[tuple[str, ...]] = (
    "What was written, or what a file contains: the keys are on people's devices.",
    "Who wrote it: senders are not logged in, and envelopes don't name them.",
    "Who somebody's contacts are: they are on people's devices.",
    "What was delivered before: it is deleted then, and nothing of it is kept.",
    "When, and from where, anybody was here before: it was never written down.",
    "The addresses of those who have an account: there are only pseudonyms of them.",
)

DETAILS: Final = "contact_details."
HAS_DETAILS: Final = "The name and the e-mail address that the account's owner gave at sign-up, true or not."
NO_DETAILS: Final = "A name, a phone number or an e-mail address: there is no place for one."
"""One of the two, by whether there is such a table."""
