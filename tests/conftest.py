"""For every test: Ctrl-C reaches the programs that tests start.

A shell that runs a job in the background has it ignore SIGINT, and whatever the job starts inherits that.
"""

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
