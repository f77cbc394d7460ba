"""The SDK: an account, its contacts and its messages on this machine."""
