"""The built web client, served alike by the relay and by `halonyx web` on the person's own machine."""
