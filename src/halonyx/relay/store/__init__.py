"""Durable state of the relay."""
