"""Jitsu: inetd for virtual machines. See docs/architecture.md for the map of floors and rooms."""

__version__ = "0.1.0"
