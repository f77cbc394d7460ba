"""What the command line says about accounts; a part of the catalogue in `text`."""

from typing import Final

ACCOUNT_CREATED: Final = """\
Your account is ready.

Your recovery code, shown this once:

{code}

Write it down and keep it where only you find it. With it you get your account back on a new machine.
Whoever has it can be you; without it a lost machine is a lost account.
"""
KEY_IN_KEYRING: Final = "The key to this account is in your system's keyring."
CODE_GROUP_WRONG: Final = "That is not group {number}. Look again at what you wrote down."
CODE_NOT_CONFIRMED: Final = "The code was not confirmed. Here it is again; check what you wrote down:\n\n{code}\n"
CODE_CONFIRMED: Final = "Good, you have it."
ACCOUNT_NEXT: Final = "Next: 'halonyx card' shows your contact card, which lets someone write to you."
ACCOUNT_RECOVERED: Final = """\
Your account is back on this machine. Its former device no longer gets your messages.

Your contacts and history are not kept by the relay:
  halonyx restore FILE            if you have a backup
  halonyx contact add THEIR-CARD  if not
"""
ACCOUNT_SHOWN: Final = """\
USID     {usid}
address  {address}
relay    {relay}
device   {device}"""
INVITED_NEXT: Final = """
It is good for one person, until {expires}, and shown this once. They use it with:
  halonyx account create --relay {relay} --invite INVITE
"""
DELETE_YES: Final = "Don't ask; the recovery code is needed all the same."
ASK_DELETE: Final = "Type 'delete' to go on: "
DELETE_WORD: Final = "delete"
DELETE_TELLS: Final = """\
This deletes your account {address}
at {relay}: your keys there, what waits for you, files you left in its drop.
Then it deletes your contacts and messages on this machine, for good.

Your contacts keep what they have. They aren't told, and what they write to you no longer arrives.
Your recovery code can make the same account again, but brings back neither contacts nor messages:
'halonyx backup FILE' keeps those.
"""
DELETE_UNASKED: Final = "Nothing was deleted: run the command on a terminal, or give --yes and the recovery code."
NOT_DELETED: Final = "Nothing was deleted."
ACCOUNT_DELETED: Final = """\
Your account is deleted, at {relay} and on this machine.
Nobody else can get its address; with the recovery code you can: halonyx account recover"""
