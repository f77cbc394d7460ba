"""Everything the command line says: one catalogue, so that it speaks with one voice.

Plain and short, to "you"; what happened first, then what to do next. `{parts}` are escaped where they are filled in.
"""

from typing import Final

from halonyx.cli import text_files, text_relay

# ruff: noqa: S105 (words about passphrases; none is one)

# The program and what every command takes.

APP: Final = (
    "Talk to people without trusting the server: what you write is encrypted on your machine and opened on theirs."
)
APP_EXAMPLES: Final = (
    "halonyx relay",
    "halonyx account create",
    "halonyx card",
    "halonyx contact add halonyx:… --name bob",
    'halonyx send bob "hello"',
    "halonyx receive",
)
VERSION_OPTION: Final = "Show the version and exit."
HOME_OPTION: Final = "Folder of your account. Default: $HALONYX_HOME, else halonyx in your data folder."
JSON_OPTION: Final = "Print one JSON object a line instead of words."
EXAMPLES: Final = "Examples:"

# Groups and commands: one sentence each.

GROUP: Final = {
    "account": "Make, recover, show or delete your account.",
    "contact": "The people you know, and those who ask to be known.",
    **text_files.GROUP,
}
COMMAND: Final = {
    **text_relay.COMMAND,
    "account create": "Make an account on a relay and show its recovery code once.",
    "account recover": "Get your account back on a new machine with its recovery code.",
    "account show": "Show your account: your USID, your address and your relay.",
    "account invite": "Make an invite with which someone may sign up at your relay.",
    "account delete": "Delete your account from its relay, then from this machine.",
    "card": "Show your contact card, which lets someone write to you.",
    "contact add": "Add someone by their contact card; that accepts them, too.",
    "contact list": "List your contacts.",
    "contact show": "Show one contact.",
    "contact rename": "Give a contact another name; only you see it.",
    "contact block": "Stop getting messages from a contact.",
    "contact unblock": "Get messages from a blocked contact again.",
    "contact remove": "Take someone off your contacts.",
    "contact requests": "List strangers whose first message waits for your decision.",
    "contact accept": "Accept a request; 'halonyx receive' then shows its messages.",
    "contact refuse": "Refuse a request and drop its messages; the sender isn't told.",
    "contact trust": "Go on writing to a contact after a warning about their keys.",
    "contact direct": "Allow direct transfers, which show a contact your IP address.",
    "verify": "Show or compare the safety number you share with a contact.",
    "send": "Send a message, or keep it until the relay can be reached.",
    "receive": "Fetch messages, show each once, and end when there are no more.",
    **text_files.COMMAND,
    "history": "Show the conversation with a contact, oldest message first.",
    "search": "Find messages that contain a text, anywhere in a word.",
    "backup": "Write your contacts and history to an encrypted file.",
    "restore": "Add the contacts and history of a backup file to this account.",
    "web": "Serve the browser client from this machine, not from a relay.",
}
EXAMPLE: Final[dict[str, tuple[str, ...]]] = {
    **text_relay.EXAMPLE,
    "account create": (
        "halonyx account create",
        "halonyx account create --relay https://relay.example",
        "halonyx account create --relay https://relay.example --invite 0f3c…",
        "HALONYX_PASSPHRASE=… halonyx account create --json",
    ),
    "account recover": (
        "halonyx account recover --relay https://relay.example",
        "halonyx account recover < code.txt",
        "halonyx account recover --relay https://relay.example --invite 0f3c…",
    ),
    "account show": ("halonyx account show",),
    "account invite": ("halonyx account invite",),
    "account delete": ("halonyx account delete", "halonyx account delete --yes < code.txt"),
    "card": ("halonyx card", "halonyx card --qr"),
    "contact add": ("halonyx contact add halonyx:… --name bob",),
    "contact list": ("halonyx contact list",),
    "contact show": ("halonyx contact show bob",),
    "contact rename": ("halonyx contact rename bob robert",),
    "contact block": ("halonyx contact block bob",),
    "contact unblock": ("halonyx contact unblock bob",),
    "contact remove": ("halonyx contact remove bob",),
    "contact requests": ("halonyx contact requests",),
    "contact accept": ("halonyx contact accept 1f3a90c2 --name carol",),
    "contact refuse": ("halonyx contact refuse 1f3a90c2",),
    "contact trust": ("halonyx contact trust bob",),
    "contact direct": ("halonyx contact direct bob", "halonyx contact direct bob --off"),
    "verify": (
        "halonyx verify bob",
        'halonyx verify bob --number "01234 56789 …"',
        "halonyx verify bob --qr",
    ),
    "send": ('halonyx send bob "see you at eight"', "date | halonyx send bob -"),
    "receive": ("halonyx receive", "halonyx receive --follow", "halonyx receive --json --timeout 5"),
    **text_files.EXAMPLE,
    "history": ("halonyx history bob --limit 20", "halonyx history bob --before ID"),
    "search": ("halonyx search invoice",),
    "backup": ("halonyx backup halonyx.backup",),
    "restore": ("halonyx restore halonyx.backup",),
    "web": ("halonyx web", "halonyx web --relay https://relay.example --port 3002"),
}

# Arguments and options.

RELAY_URL: Final = "Relay to use, for example https://relay.example."
INVITE_OPTION: Final = "Invite to the relay, if it asks for one: 32 characters."
MY_NAME: Final = "Your name, for the operator of a relay that asks for it. No other relay gets it, and no contact."
MY_EMAIL: Final = "Your e-mail address, likewise."
CARD_QR: Final = "Draw the card as a QR code."
CARD_ARGUMENT: Final = "Their contact card: halonyx:… or a link."
NAME_ARGUMENT: Final = "Your name for the contact."
DIRECT_OFF: Final = "Forbid it again."
NEW_NAME_ARGUMENT: Final = "The new name, at most 64 characters."
NAME_OPTION: Final = "Your name for them, at most 64 characters."
REQUEST_ARGUMENT: Final = "The request's id, as 'halonyx contact requests' shows it."
VERIFY_QR: Final = "Draw the safety number as a QR code for them to scan."
VERIFY_NUMBER: Final = "The number they see; if it is the same, the contact is marked verified."
SEND_TEXT: Final = "The message. Without it, or with -, it is read from standard input."
FOLLOW: Final = "Keep waiting for new messages until you press Ctrl-C."
TIMEOUT: Final = "End this many seconds after the last event."
TIMEOUT_NO_NUMBER: Final = "'nan' is no number of seconds."
FOLLOW_OR_TIMEOUT: Final = "one never ends by itself, the other does: give one of them."
LIMIT: Final = "At most this many messages, the newest."
BEFORE: Final = "Only messages before the one with this id."
SEARCH_TEXT: Final = "What to look for, at any place in a message."
BACKUP_FILE: Final = (
    "The file to write; it must not exist yet. Its passphrase is $HALONYX_BACKUP_PASSPHRASE, else $HALONYX_PASSPHRASE, "
    "else you are asked for one."
)
RESTORE_FILE: Final = (
    "A file written by 'halonyx backup'. Its passphrase is $HALONYX_BACKUP_PASSPHRASE, else $HALONYX_PASSPHRASE, else "
    "you are asked for it."
)
WEB_PORT: Final = "Port of this machine to serve the page on."

# Questions.

ASK_PASSPHRASE: Final = "Passphrase: "
ASK_NEW_PASSPHRASE: Final = "Choose a passphrase that locks this account on this machine: "
ASK_AGAIN: Final = "The same again: "
ASK_BACKUP_PASSPHRASE: Final = "Passphrase of the backup: "
ASK_NEW_BACKUP_PASSPHRASE: Final = "Choose a passphrase for the backup: "
ASK_RECOVERY_CODE: Final = "Recovery code (not shown as you type): "
ASK_GROUP: Final = "To be sure you have it, type group {number} of the code: "
ASK_MESSAGE: Final = "Write your message; end it with Ctrl-D on a line of its own."
EMPTY_PASSPHRASE: Final = "A passphrase can't be empty."
PASSPHRASES_DIFFER: Final = "The two differ. Try again."

# The browser client.

WEB_STARTS: Final = """\
Open {address} in your browser.

The page comes from this machine, not from a relay: what a relay's own page may have been altered to do, this one
doesn't. Build {build}

Ctrl-C ends it. What you wrote and did not send goes out the next time the page is open.
"""
WEB_NOT_BUILT: Final = "this installation has no browser client: in a checkout, 'make run' or 'make web' builds it"
WEB_PORT_TAKEN: Final = "can't serve on port {port} ({reason}): choose another with --port"

# Card and contacts.

CARD_NEXT: Final = """
Give this card to someone. They add it with:
  halonyx contact add CARD --name you
Whoever has it can write to you."""
CONTACT_ADDED: Final = """\
{name} is now your contact and may write to you.
Next:
  halonyx send {argument} "hello"
  halonyx verify {argument}    when you can compare numbers by phone or face to face"""
NO_CONTACTS: Final = "You have no contacts yet. Add one: halonyx contact add CARD --name NAME"
CONTACT_COLUMNS: Final = ("name", "state", "USID")
CONTACT_SHOWN: Final = """\
{name}
  state     {state}
  verified  {verified}
  devices   {devices}
  relay     {relay}
  USID      {usid}
  address   {address}"""
STATE: Final = {
    "accepted": "contact",
    "blocked": "blocked",
    "request": "request",
    "removed": "removed",
    "frozen": "sending stopped",
    "verified": "verified",
    "unverified": "not verified",
}
YES: Final = "yes"
NO: Final = "no"
CONTACT_FROZEN: Final = (
    "Sending to {name} is stopped: {reason}. Ask them, compare safety numbers (halonyx verify {argument}), "
    "then decide: halonyx contact trust {argument}"
)
CONTACT_NOT_FROZEN: Final = "Sending to {name} was not stopped by a warning: there is nothing to decide."
CONTACT_RENAMED: Final = "{old} is now called {name}."
CONTACT_BLOCKED: Final = "{name} is blocked: what they send is dropped. Your other contacts notice nothing."
CONTACT_UNBLOCKED: Final = "{name} may write to you again. What they wrote before stays dropped."
CONTACT_REMOVED: Final = "{name} is no longer among your contacts."
CONTACT_TRUSTED: Final = (
    "You can write to {name} again. The safety number is worth comparing: halonyx verify {argument}"
)
NO_REQUESTS: Final = "Nobody is waiting for your decision."
REQUEST_SHOWN: Final = "{request}  USID {usid}"
REQUESTS_NEXT: Final = """
You see what they wrote once you accept; until then they learn nothing, not even that it arrived.
  halonyx contact accept ID --name NAME
  halonyx contact refuse ID"""
REQUEST_ACCEPTED: Final = "{name} is now your contact. Next: 'halonyx receive' shows what they wrote."
REQUEST_REFUSED: Final = "The request is refused and its messages are gone."

# Safety numbers.

SAFETY_NUMBER: Final = "The safety number you share with {name}:\n\n{number}\n"
SAFETY_HOW: Final = """\
Compare it with what {name} sees, by phone or face to face, not in this conversation.
If it is the same: halonyx verify {argument} --number "what they read to you"
If it is not, somebody may sit between you."""
SAFETY_IS_VERIFIED: Final = "You compared it before: {name} is verified."
SAFETY_VERIFIED: Final = "The numbers are the same. {name} is now marked verified."
SAFETY_QR: Final = """\
{name} scans this with a Halonyx that has a camera; theirs then says whether the keys are the same.
From terminal to terminal, compare the number."""
SAFETY_DIFFERS: Final = (
    "The numbers differ: this is not the number you share with {name}, who stays unverified.\n"
    "Check for a slip first. If they still differ, somebody may sit between you: send nothing private."
)
# The mark stays: it is about keys that a USID fixes for good, and a slip must not undo a comparison made face to face.
SAFETY_DIFFERS_FROM_VERIFIED: Final = (
    "Warning: this is not the number you share with {name}, whom you verified before. The mark stays, because the keys "
    "that you verified are still the ones in use here.\n"
    "Check for a slip first. If they still differ, it isn't {name} who reads the number to you, or {name} was given "
    "other keys for you: send nothing private until you have met and compared again."
)
SAFETY_MALFORMED: Final = "A safety number is twelve groups of five digits. Type it in quotation marks."

# Messages.

SENT: Final = {
    "waiting": "Kept for {name}: it goes out by itself, with one of your next commands.",
    "accepted": "Sent to {name}: the relay has it.",
    "delivered": "Sent to {name}: their device has it.",
    "failed": "Given up: {name} did not confirm it within 14 days.",
}
SENT_REASON: Final = {
    "transport-error": "It waits because the relay can't be reached.",
    "mailbox-full": "It waits because their mailbox is full.",
    "unanswered": "It waits because they have not answered your first messages yet.",
    "requests-full": "It waits because too many strangers have written to them; they have to decide first.",
    "busy": "It waits because the relay is busy.",
    "gone": "It waits because their device is no longer at their relay; they have to come online with the new one.",
    "bad-access-key": "It waits because their relay doesn't know them: they may have deleted their account, or left.",
    "no-valid-prekey": "It waits because their keys have expired; they renew them when they come online.",
    "bad-signature": "It waits because their relay serves keys that they have not signed.",
    "authentication-failed": "It waits because what their relay serves are not their keys.",
    "untrusted-identity": "It waits because their relay serves somebody else's keys.",
    "stale-directory": "It waits because their relay serves old keys.",
}
SENT_REASON_OTHER: Final = "It waits because of: {reason}."
MESSAGE_STATE: Final = {
    "waiting": "waiting",
    "accepted": "sent",
    "delivered": "delivered",
    "failed": "given up",
    "received": "received",
}
NO_RECEIPT: Final = "sent, no receipt yet"
MESSAGE: Final = "{time} {name}: {text}"
CLOCK_AHEAD: Final = "{time} (their clock is ahead)"
OUTGOING: Final = "{time} you to {name} ({state}): {text}"
NOTHING_NEW: Final = "Nothing new."
NO_HISTORY: Final = "You and {name} have not written to each other yet."
OLDER: Final = "Older messages: halonyx history {argument} --before {id}"
NOTHING_FOUND: Final = "No message contains that."
NOTICE: Final = {
    "request": "{time} Someone you don't know wrote to you. To decide: halonyx contact requests",
    "requests-full": (
        "{time} Someone you don't know wrote to you, and it was dropped: too many strangers wait for you to decide. "
        "See: halonyx contact requests"
    ),
    "delivered": "{time} {name} has your message.",
    "device": "{time} {name} uses a new device from now on.",
    "gap": "{time} Missing from {name}: {missing} message(s). They were asked for again.",
    "refreshed": "{time} The session with {name} was refreshed.",
    "stale": (
        "{time} Warning: the relay serves an old or a second set of keys for {name}. Sending to {name} is stopped. "
        "See: halonyx contact show {argument}"
    ),
    "own-record": (
        "{time} Warning: {name} was given other keys for you than the ones you published. "
        "The relay may be lying: compare safety numbers."
    ),
    "unsupported": "{time} A message from {name} needs a newer Halonyx.",
    "drained": (
        "{time} {name} got none of your one-time keys: somebody uses them up, or the relay withholds them. "
        "What you write is encrypted all the same."
    ),
    "restored": "{time} Your relay was put back to an older copy. What it may have lost is asked for and sent again.",
    "failed": "{time} {name} did not confirm a message within 14 days. It was given up.",
    "announcement": "{time} Announcement by the operator of {relay}, who is none of your contacts:\n    {announcement}",
}
SO_MANY_TIMES: Final = " ({times} times since the one before.)"
SOMEONE: Final = "someone"

# Backup.

BACKUP_WRITTEN: Final = (
    "Your contacts and history are in {file}, encrypted with its passphrase.\n"
    "Your recovery code is not in it: keep both."
)
RESTORED: Final = "Restored: {contacts} contacts and {messages} messages."

# Errors: what went wrong is the SDK's or one of these, what to do next is by code.

NO_PASSPHRASE_CHOSEN: Final = "No passphrase was chosen. Start again."
NO_BACKUP_PASSPHRASE: Final = (
    "A backup needs a passphrase: set HALONYX_BACKUP_PASSPHRASE, or HALONYX_PASSPHRASE for both it and the account, or "
    "run the command on a terminal."
)
NO_RECOVERY_CODE: Final = (
    "No recovery code was given: set HALONYX_RECOVERY_CODE, pipe it in, or run the command on a terminal."
)
NO_TEXT: Final = "There is nothing to send: the message is empty."
TEXT_NOT_UTF8: Final = "The message is not UTF-8 text."
TEXT_TOO_LONG: Final = "The message is longer than {limit} bytes. Send it in parts."
ID_MALFORMED: Final = "A message id has 32 characters of 0-9 and a-f. 'halonyx history NAME --json' shows them."
FILE_EXISTS: Final = "{file} is there already. Choose another name; a backup is never written over."
SYSTEM_ERROR: Final = "{reason}: {file}"
BUG: Final = "This is a fault in Halonyx, not yours. The lines above say where."
HINT: Final = {
    "transport-error": "Check that the relay runs and that you are online, then try again.",
    "untrusted-identity": "Compare safety numbers: halonyx verify NAME",
    "bad-invite": "Ask whoever runs the relay, or someone who is there, for an invite; give it with --invite INVITE.",
    "contact-required": (
        "Give them with --my-name and --my-email. The operator of the relay keeps and sees them, and nobody else does. "
        "Or choose a relay that doesn't ask."
    ),
    "sign-up-closed": "Ask whoever runs the relay, or choose another relay.",
    "unsupported-version": "Get a newer Halonyx.",
}
USAGE_HINT: Final = "See: {command} --help"
