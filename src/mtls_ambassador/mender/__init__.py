"""Mender's API: messages on the wire and the client that sends them."""
