"""What clients and relays say to each other; no sockets."""
