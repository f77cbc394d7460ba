"""The real relay with exactly one lie, to show what a relay that lies achieves.

`python -m lying_relay --help` lists the lies. Not part of the package that is installed.
"""
