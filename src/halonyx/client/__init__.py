"""The SDK: an account, its contacts and its messages on this machine."""

from halonyx.client.account import create_account, recover_account
from halonyx.client.admission import Admission, admission
from halonyx.client.client import Client
from halonyx.client.leaving import delete_account
from halonyx.client.locks import ReceiverBusy
from halonyx.client.model import (
    AccountInfo,
    Contact,
    Event,
    FileOffered,
    HistoryEntry,
    Invite,
    Message,
    NewAccount,
    Notice,
    Sent,
    Transfer,
    TransferChanged,
)

__all__ = [
    "AccountInfo",
    "Admission",
    "Client",
    "Contact",
    "Event",
    "FileOffered",
    "HistoryEntry",
    "Invite",
    "Message",
    "NewAccount",
    "Notice",
    "ReceiverBusy",
    "Sent",
    "Transfer",
    "TransferChanged",
    "admission",
    "create_account",
    "delete_account",
    "recover_account",
]
