/** What the page says about files, in English; a part of the catalogue in en.ts. */

import type { pluralizer } from "./plural"

/** Words of both sides of an offer: what a sender reads, what a receiver reads. */
interface Sides {
  readonly ours: (name: string) => string
  readonly theirs: (name: string) => string
}

const both = (words: (name: string) => string): Sides => ({ ours: words, theirs: words })

export const filesIn = (plural: ReturnType<typeof pluralizer>) => ({
  attach: "Send files",
  title: (name: string) => `Send files to ${name}`,
  empty: "Drop files or a folder here, or choose some.",
  choose: "Choose files",
  chooseFolder: "Choose a folder",
  more: "Add files",
  dropHere: (name: string) => `Drop to send to ${name}`,
  remove: (file: string) => `Remove ${file}`,
  send: (count: number) => (count === 0 ? "Send" : plural(count, { one: "Send", other: "Send # offers" })),
  sending: "Preparing",
  list: "To be sent",
  count: (count: number) => plural(count, { one: "# file", other: "# files" }),
  each: (name: string) => `Each file is an offer of its own. ${name} decides about each.`,
  problems: {
    "empty-folder": "This folder is empty. Empty folders can’t be sent.",
    "too-many-files": "More than 10,000 files. Pack the folder into an archive first.",
  },
  unverified: (name: string) => `You have not compared numbers with ${name} yet.`,
  notRead: "That could not be read. A file may have been moved.",

  way: "How it gets there",
  direct: (name: string) => `Directly from your browser to ${name}’s. Each of you sees the other’s IP address.`,
  relayed: (name: string) => `By way of a relay, encrypted. The transfer doesn’t show ${name} your IP address.`,
  noWay: (name: string) =>
    `Your relay has no detour that hides your address: it starts once you allow a direct connection to ${name}.`,
  asking: (name: string) =>
    `Your relay has not said yet whether it has a detour that hides your address. ${name} sees it only if you allow it.`,
  allow: "Connect directly",
  allowHint: (name: string) => `Your IP address will be visible to ${name}.`,
  allowOnce: "It holds for all files, and can be changed under Details.",
  allowWithout: {
    relayed: "Without it files go over a relay, which is slower.",
    noWay: "Without it files wait.",
    asking: "Without it files go over a relay if yours has a detour, and wait if not.",
  },
  verifiedDirect: (name: string) => `Allowed, because you verified ${name}.`,
  allowed: (name: string) => `Files to and from ${name} may now go directly.`,
  forbidden: (name: string) => `Files to and from ${name} no longer go directly.`,
  drop: "Also leave it at the relay",
  dropHint: (name: string) =>
    `For when you and ${name} are never online together. The relay then holds the ciphertext for 14 days. ` +
    "It can’t open it.",

  offer: (file: string, size: string) => `File ${file}, ${size}`,
  says: (name: string, file: string) => `${name} offers ${file}`,
  inFolder: (count: number) => plural(count, { one: "Folder with # file", other: "Folder with # files" }),
  program: "This is a program or may run one. Open it only if you expected it.",
  progress: (file: string) => `Progress of ${file}`,
  thumbnail: (file: string) => `Small picture of ${file}`,
  picture: (file: string) => `Picture ${file}`,
  notShown: "Not shown here: it is too large, or not the picture that it says it is. Save it to open it.",

  actions: {
    accept: "Accept",
    refuse: "Refuse",
    pause: "Pause",
    resume: "Resume",
    cancel: "Cancel",
    retry: "Try again",
    save: "Save",
    allowDirect: "Connect directly",
    forget: "Delete here",
  },
  forgetTitle: (file: string) => `Delete ${file} from this browser?`,
  forgetText: "It frees the space. What you saved elsewhere stays; here it can’t be saved again.",
  cancelTitle: (file: string) => `Cancel ${file}?`,
  cancelText: (name: string) => `What was transferred so far is deleted here, and ${name} is told.`,
  keep: "Keep it",

  states: {
    preparing: both(() => "Encrypting"),
    offered: {
      ours: (name: string) => `Waits for ${name} to accept`,
      theirs: (name: string) => `${name} wants to send you this`,
    },
    waiting: both(() => "Waiting"),
    connecting: both(() => "Connecting"),
    transferring: { ours: () => "Sending", theirs: () => "Receiving" },
    paused: both(() => "Paused"),
    verifying: both(() => "Checking that all of it is right"),
    done: { ours: (name: string) => `${name} has it`, theirs: () => "Received and checked" },
    refused: { ours: (name: string) => `${name} refused it`, theirs: () => "You refused it" },
    cancelled: both(() => "Cancelled. Nothing of it is kept."),
    failed: both(() => "Failed"),
  },
  left: (time: string) => `${time} left`,
  down: (speed: string) => `${speed} down`,
  up: (speed: string) => `${speed} up`,
  peers: (count: number) => plural(count, { one: "# peer", other: "# peers" }),
  ratio: (ratio: string) => `ratio ${ratio}`,
  paths: { direct: "direct", relayed: "over a relay", drop: "from the relay’s drop" },
  inDrop: "The relay holds the ciphertext until it is fetched, 14 days at most.",

  /** Why it waits or failed, and what comes next. */
  reasons: {
    "peer-offline": both((name: string) => `${name} is offline: it will start when both of you are online.`),
    unconfirmed: both((name: string) => `All of it was sent. ${name}’s program has not said yet that it arrived whole.`),
    "relay-unreachable": both(() => "The relay that brings you together can’t be reached. It is tried again."),
    "relay-not-allowed": both(
      () => "This page may not reach the relay it was offered at. Run “halonyx web” on your own machine for that.",
    ),
    "strange-relay": both((name: string) => `The offer names a relay where ${name} receives no messages. It is not fetched.`),
    "needs-direct": {
      ours: (name: string) =>
        `Your relay has no detour. Allow a direct connection: your IP address will be visible to ${name}. ` +
        "Otherwise it waits.",
      theirs: (name: string) =>
        `Your relay has no detour. Allow a direct connection: your IP address will be visible to ${name}. ` +
        `Otherwise it waits, or ${name} can leave it in a relay’s drop.`,
    },
    "no-turn": both(
      (name: string) => `${name}’s relay has no detour: ${name} has to allow a direct connection to you first.`,
    ),
    "drop-full": both(() => "The relay’s drop is full. It still goes from browser to browser."),
    "too-large": both(() => "The relay’s drop takes nothing so large. It still goes from browser to browser."),
    "no-drop": both(() => "The relay has no drop any more. It still goes from browser to browser."),
    "drop-unknown": both((name: string) => `It is no longer in the drop: it comes when ${name} is online.`),
    "wrong-hash": {
      ours: (name: string) => `What arrived at ${name}’s was not what you offered. Try again.`,
      theirs: () => "What arrived is not what was offered, so nothing was kept. Try again.",
    },
    "wrong-metadata": both(() => "What the other side serves is not what was offered, so nothing was taken."),
    damaged: {
      ours: (name: string) => `${name} could not open it. Offer it again.`,
      theirs: (name: string) =>
        `It could not be opened: it was damaged before it was sent. Ask ${name} to send it again.`,
    },
    "disk-full": {
      ours: (name: string) => `${name} has no room for it. It can go on when there is some.`,
      theirs: () => "This browser has no room for it. Delete something here, then try again.",
    },
    "no-room": both(() => "This browser has no room for the encrypted copy. Delete something here, then offer it again."),
    gone: both(() => "It is no longer here: the browser deleted it. Offer it, or ask for it, again."),
    "file-changed": both(() => "The file was changed or moved while it was read. Offer it again."),
    interrupted: both(() => "The page was closed before it was ready. Offer it again."),
    expired: both((name: string) => `${name} did not confirm the offer within 14 days. Offer it again.`),
    internal: both(() => "Something went wrong here. Try again."),
  },
  reasonOther: (code: string) => `Something went wrong (${code}).`,

  saveTitle: (name: string) => `Save ${name}`,
  saveText: "Each is saved to where your browser puts downloads. Names were made safe.",
  saveAll: "Save all",
  saveOne: (path: string) => `Save ${path}`,
  opening: "Decrypting",
  came: (file: string, name: string) => `${file} from ${name} has arrived.`,
  went: (file: string, name: string) => `${name} has ${file}.`,
  ended: (file: string, words: string) => `${file}: ${words}`,

  shared: "Shared files",
  sharedNone: "None yet.",
  sharedFrom: (name: string) => `from ${name}`,
  sharedByYou: "from you",
  storage: "Storage",
  storageUsed: (used: string) => `${used} used in this browser.`,
  storageOf: (used: string, quota: string) => `${used} of ${quota} used in this browser.`,
  storageHint: "Received files stay here until you delete them in their conversation.",
})
