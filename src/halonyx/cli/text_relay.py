"""What the command line says to whoever runs a relay: a part of the catalogue in `text`."""

from typing import Final

COMMAND: Final = {
    "relay": "Run a relay: it carries encrypted messages and can't read them.",
    "relay doctor": "Look at everything an operator can get wrong and say what to change.",
    "relay invite": "Make invites, each of which lets one person sign up (--signup token).",
    "relay announce": "Tell everybody on your relay something, signed by the operator's key.",
    "relay contacts": "List the names and e-mail addresses of your people (--contact-required).",
    "relay backup": "Copy a relay's databases to a file, also while it runs.",
    "relay restore": "Put a relay's backup back into its data folder.",
    "relay knows": "Print what a relay holds about an account, and what it could tell a court.",
    "relay admin-log": "Print what was done with a relay, or check that nobody changed that.",
}
EXAMPLE: Final[dict[str, tuple[str, ...]]] = {
    "relay": (
        "halonyx relay",
        "halonyx relay --port 3001 --data ~/relay",
        "halonyx relay --behind-proxy --origin https://relay.example",
        "halonyx relay --host 0.0.0.0 --port 443 --origin https://relay.example --tls-cert chain.pem --tls-key key.pem",
    ),
    "relay doctor": (
        "halonyx relay doctor --config /etc/halonyx.toml",
        "halonyx relay doctor --behind-proxy --origin https://relay.example",
    ),
    "relay invite": ("halonyx relay invite", "halonyx relay invite --count 5 --days 3 --data /var/lib/halonyx/relay"),
    "relay announce": (
        'halonyx relay announce "The relay moves on Sunday between 8 and 9."',
        "halonyx relay announce --data /var/lib/halonyx/relay < announcement.txt",
    ),
    "relay contacts": ("halonyx relay contacts --data /var/lib/halonyx/relay",),
    "relay backup": ("halonyx relay backup /mnt/copies/relay-monday --data /var/lib/halonyx/relay",),
    "relay restore": (
        "halonyx relay restore /mnt/copies/relay-monday --data /var/lib/halonyx/relay",
        "halonyx relay restore relay-monday --replace",
    ),
    "relay knows": (
        "halonyx relay knows --data /var/lib/halonyx/relay",
        "halonyx relay knows halonyx:AQ... --data /var/lib/halonyx/relay",
    ),
    "relay admin-log": (
        "halonyx relay admin-log --data /var/lib/halonyx/relay",
        "halonyx relay admin-log --verify --data /var/lib/halonyx/relay",
    ),
}

# Arguments and options.

HOST: Final = "Address to listen on. Default: 127.0.0.1."
PORT: Final = "Port to listen on. Default: 3000."
DATA: Final = "Folder for the databases. Default: halonyx-data. The relay's keys go to a file beside it."
CONFIG: Final = (
    "TOML file with any setting of the relay. Each is an option and a HALONYX_ variable, too: --pow-bits 22, or "
    "HALONYX_POW_BITS=22."
)
ORIGIN: Final = "Public address people use, for example https://relay.example; may be given more than once."
PROXY: Final = "A proxy in front ends TLS and sets X-Forwarded-For."
TLS_CERT: Final = "Certificate chain (PEM), to speak TLS without a proxy; a renewed one is taken within a minute."
TLS_KEY: Final = "The certificate's private key (PEM)."
SIGNUP: Final = (
    "Who may sign up: open, pow (a few seconds of work first), token (with an invite) or closed. Default: open on "
    "loopback, else pow."
)
LOG: Final = "Least level that is logged: debug, info, warning or error. Default: info."
SECRETS: Final = "The relay's secrets file. Default: DIR.secrets beside the data folder."
FOLDER: Final = "The relay's data folder. Default: halonyx-data."
INVITE_DAYS: Final = "Days until they expire, 1 to 365. Default: the relay's setting invite_days, 14."
INVITE_COUNT: Final = "How many, 1 to 1000."
ANNOUNCED_TEXT: Final = "At most 2,000 bytes, one line. Without it, or with -, it is read from standard input."
BACKUP_FILE: Final = "The file to write; it must not exist yet. The secrets go to FILE.secrets."
RESTORE_FILE: Final = "A file written by 'halonyx relay backup', with its secrets in FILE.secrets beside it."
KNOWS_WHOSE: Final = "An account's address (64 hex digits) or contact card. Without it: what is held about anybody."
ADMIN_VERIFY: Final = "Print nothing but whether the log is as it was written."
ADMIN_HEAD: Final = "A hash that --verify printed before: check that this line is still there, too."
REPLACE: Final = "Move what is in the data folder aside, into a folder in it."

# Running.

NO_SETTING: Final = "The relay has no setting {option}. See: halonyx relay --help"
NO_VALUE: Final = "{option} needs a value."
STARTS: Final = """\
Halonyx relay on {origin}
  data   {data}
  keys   {secrets}  (keep a copy; without it the data is of no use)

Next, in another terminal:
  halonyx account create --relay {origin}
  halonyx card                                 give this to someone
  halonyx contact add THEIR-CARD --name bob
  halonyx send bob "hello"

Ctrl-C stops the relay. Nothing is lost by that.
"""

# Doctor.

ALL_WELL: Final = "All is well."
FOUND: Final = "{code}: {text}\n  {change}"

# Invites.

INVITED: Final = "{invite}"
INVITED_ORIGIN: Final = "YOUR-RELAY"
INVITED_NEXT: Final = """
Each is good for one person, until {expires}; it is shown this once. They use it with:
  halonyx account create --relay {origin} --invite INVITE
"""

# Announcements.

ANNOUNCED: Final = """\
The relay tells it to everybody who is connected now, and for seven days to those who come later. Devices that heard
another within the hour, even one that was taken back, pass over it."""
ANNOUNCED_NO_TEXT: Final = "The announcement is not UTF-8 text."

# What it knows.

KNOWS_FILE: Final = "\n{file}"
KNOWS_HELD: Final = "  {name}: {text}"
KNOWS_OF: Final = "  {name}: {text}\n    Here: {found}"
KNOWS_BESIDE: Final = "  {text}"
KNOWS_NOBODYS: Final = "nothing says whose a row is"
KNOWS_NONE: Final = "nothing"
KNOWS_ONE: Final = "{value}"
KNOWS_MORE: Final = "{rows} rows, {value}"
KNOWS_EMPTY: Final = "empty"
KNOWS_CAN: Final = "\nIt could tell a court:"
KNOWS_CANNOT: Final = "\nIt could not tell:"
KNOWS_SENTENCE: Final = "  - {sentence}"
KNOWS_NO_ADDRESS: Final = "That is neither an address (64 hex digits, see 'halonyx account show') nor a contact card."

# The admin log.

ADMIN_LINE: Final = "{time}  {event}  {details}"
ADMIN_FLAW: Final = {
    "altered": "Line {line} is not as it was written, or its neighbour isn't.",
    "deleted": "Line {line} is missing.",
    "swapped": "Line {line} is not in its place, or is there twice.",
    "cut": "The end of the log is missing, from line {line} on.",
    "torn": "Line {line} was cut off by a crash while it was written; what it would have told may not have happened.",
}
ADMIN_NO_HEAD: Final = "No line has the hash you gave: the log was made anew or cut since you noted it."
ADMIN_NO_HASH: Final = "--head takes a hash as --verify prints it: 64 hex digits."
ADMIN_WELL: Final = """\
All {number} lines are as they were written. Note this hash elsewhere; --head HASH then finds a log that was made anew:
{digest}"""

# Names and e-mail addresses.

CONTACT: Final = "{name} <{email}>"

# Backup.

BACKED_UP: Final = """\
The databases are in {file}
The secrets are in   {secrets}

Keep them in two places. A backup without its secrets is of no use; whoever has both can test whether an address he
knows has an account. What people wrote is as encrypted in it as on the relay.
Files in the drop are not in it: those who sent them still have them.
"""
RESTORED: Final = """\
The relay of {taken} is back in {data}.
Every mailbox begins a new count; one-time prekeys and invites are gone. People's devices notice, ask each other for
what is missing, and bring new prekeys. Accounts made since have to be made again.
"""
MOVED_ASIDE: Final = "What was there before is in {replaced}; delete it once all is well."
