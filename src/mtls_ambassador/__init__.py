"""Devices onto their Mender server by certificate: an mTLS gateway, from the factory to the accepted device."""

__version__ = "0.1.0"
