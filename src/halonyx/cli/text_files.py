"""What the command line says about files: a part of the catalogue in `text`."""

from typing import Final

GROUP: Final = {"files": "Files that others offer you, and those you offer."}
COMMAND: Final = {
    "send-file": "Offer files to a contact; they go out once they are accepted.",
    "files list": "List offers and transfers, and how far each has come.",
    "files accept": "Take what a contact offers, and save it.",
    "files refuse": "Decline what a contact offers; they are told.",
    "files pause": "Stop a transfer for now; what came is kept.",
    "files resume": "Go on with a transfer.",
    "files retry": "Try again what failed; what came of it is fetched anew.",
    "files cancel": "End a transfer on both sides and delete what came of it.",
}
EXAMPLE: Final[dict[str, tuple[str, ...]]] = {
    "send-file": (
        "halonyx send-file bob report.pdf",
        "halonyx send-file bob holiday/",
        "halonyx send-file bob report.pdf --drop --no-wait",
    ),
    "files list": ("halonyx files list", "halonyx files list --json"),
    "files accept": ("halonyx files accept 1f3a", "halonyx files accept 1f3a --to ~/papers"),
    "files refuse": ("halonyx files refuse 1f3a",),
    "files pause": ("halonyx files pause 1f3a",),
    "files resume": ("halonyx files resume 1f3a", "halonyx files resume 1f3a --drop"),
    "files retry": ("halonyx files retry 1f3a",),
    "files cancel": ("halonyx files cancel 1f3a",),
}

# Arguments and options.

PATHS: Final = "A file or a folder. Several become one offer and arrive in a folder."
DROP: Final = (
    "Leave the encrypted file with your relay, too, for up to 14 days: you need not be online together. The relay sees "
    "its size and can't read it."
)
DIRECT: Final = (
    "Agree that the contact sees your IP address: files then go directly between you. Asked once per contact."
)
NO_WAIT: Final = "Don't wait; 'halonyx receive --follow' carries it later."
ID_ARGUMENT: Final = "Its id, as 'halonyx files list' shows it; the first four characters are enough."
SAVE_TO: Final = "Folder to save in. Default: Downloads in your home folder, else this folder."

# Questions.

ASK_DIRECT: Final = (
    "To send files directly, your IP address will be visible to {name}. Agree, for all files with {name}? [y/N] "
)
YES: Final = ("y", "yes")

# Answers.

OFFERED: Final = "Offered {file} ({size}) to {name} as {id}."
ACCEPTED: Final = "Accepted {file} ({size}) from {name}; it will be saved in {folder}."
REFUSED: Final = "Refused {file} from {name}."
PAUSED: Final = "Paused {file}. To go on: halonyx files resume {id}"
RETRIED: Final = "Trying {file} again."
RESUMED: Final = "Going on with {file}."
CANCELLED: Final = "Cancelled {file}. What came of it is deleted."
SAVED: Final = "Saved: {saved}"
DELIVERED: Final = "{name} has {file}."
NO_FILES: Final = "No files. Send one: halonyx send-file NAME PATH"
COLUMNS: Final = ("id", "", "contact", "name", "size", "state")
FROM: Final = "from"
TO: Final = "to"
STATE: Final = {
    "preparing": "encrypting",
    "offered": "offered",
    "waiting": "waiting",
    "transferring": "{percent}% · {speed}/s",
    "paused": "paused at {percent}%",
    "verifying": "checking and saving",
    "done": "done",
    "refused": "refused",
    "cancelled": "cancelled",
    "failed": "failed",
}
GOES_ON: Final = "It goes on with 'halonyx receive --follow', here or in another window."

# One line a transfer that moves.

BAR_DIRECT: Final = "direct"
BAR_DROP: Final = "through the relay's drop"
BAR_PEERS: Final = "peers {peers}"
BAR_RATIO: Final = "ratio {ratio}"
BAR_LEFT: Final = "{time} left"
IN_FILES: Final = "{count} files, {size}"

# Why it waits or why it ended, and who has to do what.

REASON: Final = {
    "peer-offline": "{name} is offline: it will start when they are back.",
    "unconfirmed": "All of it was sent. {name}'s program has not said yet that it arrived whole.",
    "checking": "What is on this disk is being compared.",
    "relay-unreachable": "The relay can't be reached: it is tried again by itself.",
    "bad-peer": "What came was not what was offered, and was thrown away. It goes on when {name} is back.",
    "needs-direct": (
        "It waits for you: a terminal can't send through a TURN server. Agree that your IP address will be visible to "
        "{name}: 'halonyx files resume {id} --direct'. Or let the relay keep the encrypted file: {drop}."
    ),
    "they-need-direct": (
        "It waits for {name}: their program has no relayed way. {name} has to agree that you see their IP address; or "
        "the sender puts the encrypted file on the relay with --drop."
    ),
    "both-need-direct": (
        "It waits for both of you: a terminal can't send through a TURN server. Agree that your IP address will be "
        "visible to {name}: 'halonyx files resume {id} --direct'; {name} has to agree, too. Or let the relay keep the "
        "encrypted file: {drop}."
    ),
    "uploading": "It is being put into your relay's drop.",
    "drop-unknown": (
        "The relay no longer keeps this file: it does so for 14 days at most. Ask {name} to come online, or to use "
        "--drop again."
    ),
    "disk-full": "The disk is full. Make room, then: halonyx files resume {id}",
    "cant-save": "It can't be saved or read. Look at the folder, then: halonyx files resume {id}",
    "strange-relay": "The offer names a relay where {name} receives no messages. It is not fetched.",
    "no-drop": "Your relay keeps no files: it goes directly, when both of you are online. {agree}",
    "drop-full": "Your relay has no room for this file: it goes directly, when both of you are online. {agree}",
    "wrong-hash": "What came is not what was offered, so nothing was saved. To try again: halonyx files retry {id}",
    "wrong-metadata": "The offer contradicts itself, so nothing was fetched. Ask {name} to send it again.",
    "damaged": "It came whole and does not open, so nothing was saved. Ask {name} to send it again.",
    "source-changed": "A file changed or went while it was being read. Send it again.",
    "expired": "The offer was not confirmed within 14 days, and was given up.",
    "misuse": "It can't be read any more. Send it again.",
}
REASON_THERE: Final = {  # of what failed at theirs
    "wrong-hash": "What {name} got is not what you offered. It goes on when they try again. {forget}",
    "disk-full": "{name} has no room for it. It goes on when they try again. {forget}",
    "damaged": "{name} could not open it. Send it again.",
}
AGREE: Final = "If {name} may see your IP address: halonyx files resume {id} --direct"
FORGET: Final = "To delete your copy: halonyx files cancel {id}"
REASON_OTHER: Final = "It waits because of: {reason}."
DROP_OURS: Final = "'halonyx files resume {id} --drop'"
DROP_THEIRS: Final = "{name} can do that with --drop"
ENDED: Final = {
    "refused": "{name} refused {file}.",
    "cancelled": "{file} was cancelled.",
    "failed": "{file} failed.",
}

# Events.

FILE_OFFERED: Final = (
    "{time} {name} offers {file} ({size}{type}). To take it: halonyx files accept {id}. If not: halonyx files refuse "
    "{id}"
)
FILE_TYPE: Final = ", {type}"
TRANSFER: Final = {
    "preparing": "{time} {file} for {name} is being encrypted.",
    "offered": "{time} {file} is offered to {name}.",
    "waiting": "{time} {name} accepted {file}.",
    "transferring": "{time} {file} is on its way.",
    "paused": "{time} {file} is paused.",
    "verifying": "{time} {file} is here and being checked.",
    "done": "{time} {name} has {file}.",
    "refused": "{time} {name} refused {file}.",
    "cancelled": "{time} {name} took back {file}.",
    "failed": "{time} {file} failed.",
}
TRANSFER_SAVED: Final = "{time} {file} from {name} is saved: {saved}"
TRANSFER_WAITS: Final = "{time} {file} waits."
HISTORY_FILE: Final = "[file] {file}"

CONTACT_DIRECT: Final = "From now on your IP address will be visible to {name} when you send each other files."
CONTACT_NOT_DIRECT: Final = "Files with {name} don't go directly any more: they go through a relay's drop, or wait."
CONTACT_DIRECT_VERIFIED: Final = "{name} is verified, so files go directly all the same."
