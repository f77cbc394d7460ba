/** What went wrong, or still waits, and what to do: a part of the catalogue in `en`, by error code. */

const NOT_UNDERSTOOD =
  "The relay and this page don’t understand each other; one of them may be too old. Reload the page, or ask the operator."
const NOT_THEIRS = "The relay’s answer doesn’t belong to this identity. Don’t go on with this relay."

export const waits = {
  "transport-error": "It goes out when their relay can be reached.",
  "mailbox-full": "It waits because their mailbox is full.",
  unanswered: "It waits until they answer your first messages.",
  "requests-full": "It waits because too many strangers wrote to them; they have to decide first.",
  busy: "It waits because the relay is busy.",
  gone: "It waits until they come online with their new device.",
  "bad-access-key": "It waits because their relay doesn’t know them: they may have deleted their identity, or left.",
  "no-valid-prekey": "It waits until they come online and renew their keys.",
  "bad-signature": "It waits because their relay serves keys that they have not signed.",
  "bad-key": "It waits because their relay serves keys that are not valid.",
  "authentication-failed": "It waits because what their relay serves are not their keys.",
  "relay-not-allowed":
    "It waits because this page may not reach their relay. The operator can allow it, or run “halonyx web” yourself.",
  "loopback-origin": "It waits because their relay is on their own machine only.",
  offline: "It goes out when you are online again.",
  other: (code: string) => `It waits because their relay doesn’t answer as it should (${code}).`,
} as const

export const problem = {
  "transport-error": "The relay can’t be reached. Check the address and that you are online, then try again.",
  "relay-not-allowed":
    "This page may not reach that relay. Use the page of that relay, or run “halonyx web” on your own machine.",
  "other-code": "This is a code of something else. Hold the one under “Compare numbers” on their screen in the frame.",
  "name-taken": "You have someone by that name. Choose another.",
  malformed: "That doesn’t look right. Check for a typing error or a missing piece.",
  "malformed-text": "That is no contact card. It begins with halonyx: or is a link with #add= in it.",
  "malformed-card": "This card has a typing error or a part is missing. Copy it whole, or ask for a new link.",
  "malformed-code": "That is not a recovery code, or it has a typing error.",
  "wrong-code": "That is the recovery code of another identity.",
  "unknown-account":
    "The relay doesn’t know this identity, or this device’s clock is wrong. If it is gone there, erase this device.",
  "malformed-invite": "An invite has 32 letters and digits. Check for a typing error, or copy it whole.",
  "malformed-contact": "A name has 1 to 64 characters, and an e-mail address is like ann@mail.example. Check both.",
  "unsupported-version": "That was made by a newer Halonyx. Get the newest version first.",
  "untrusted-identity": NOT_THEIRS,
  "bad-signature": NOT_THEIRS,
  "authentication-failed": NOT_THEIRS,
  "bad-key": "A key that the relay serves is not valid. Ask its operator, or choose another relay.",
  "stale-directory": "The relay serves an old record of this identity. Try later or ask its operator.",
  "bad-invite":
    "This relay takes new people by invite. Ask whoever runs it, or someone who is there; each invite is good once.",
  "no-invites": "Members of this relay make no invites. Ask whoever runs it.",
  "invites-used": "You have made all the invites you may this week.",
  "contact-required":
    "The operator of this relay wants to know your name and e-mail address. Give them, or choose another relay.",
  "sign-up-closed": "This relay takes no new people. Choose another, or run your own.",
  "bad-work": "The relay asks for too much work to sign up, or the puzzle ran out. Try again.",
  "not-authenticated":
    "The relay no longer knows this device: your identity was recovered elsewhere, or deleted. Nothing was sent.",
  "another-version": "Another tab updated Halonyx or erased this device. Reload this page.",
  "not-found": "The relay doesn’t know this identity. Check which relay it was made on.",
  "bad-access-key": "The relay doesn’t know this identity. Check which relay it was made on.",
  "address-taken": "Another identity holds this address at the relay.",
  "device-id-used": "The relay has seen this device before. Try again.",
  "wrong-origin": "That relay doesn’t work with this page. Use its own page, or run “halonyx web” on your own machine.",
  "wrong-host": "The relay doesn’t know the name that it is reached by. Its operator has to mend that.",
  "too-slow": "Your connection was too slow for the relay. Try again.",
  "too-large": NOT_UNDERSTOOD,
  "method-not-allowed": NOT_UNDERSTOOD,
  "unsupported-content": NOT_UNDERSTOOD,
  "too-many-requests": "That was too often. Wait a minute, then try again.",
  busy: "The relay is busy. Try again in a moment.",
  "storage-conflict": "Another tab was faster. Try again.",
  "disk-full": "This browser has no room for that. Delete something, then try again.",
  gone: "That is no longer here: the browser deleted it. Ask for it again.",
  damaged: "It could not be opened: it was damaged before it was sent. Ask for it again.",
  "store-damaged":
    "A part of what this browser keeps is damaged. Reload the page; if that doesn’t help, erase this device.",
  "store-error": "This browser doesn’t let Halonyx keep its data. Private windows often don’t; use a normal one.",
  misuse: "That isn’t possible. A name has 1 to 64 characters, no space around it, and nobody else may have it.",
  other: (code: string) => `That didn’t work (${code}). Try again.`,
} as const
