"""The Envoy that carries the device traffic: its configuration and its process."""
