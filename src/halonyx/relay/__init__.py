"""The relay: stores sealed envelopes and sealed keys, and hands them out."""
