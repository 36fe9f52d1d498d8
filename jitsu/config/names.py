"""What names may be."""

import re

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""A service, an instance, a label of a domain name."""


def is_name(text: str) -> bool:
    """Is this one label or several, joined by dots?"""
    return all(NAME.fullmatch(label) for label in text.split("."))
