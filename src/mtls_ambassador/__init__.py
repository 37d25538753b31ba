"""Devices onto their Mender server by certificate: an mTLS gateway, from the factory to the accepted device."""

from importlib.metadata import version

__version__ = version("mtls-ambassador")
