"""Halonyx: an end-to-end encrypted messenger that people host themselves."""
