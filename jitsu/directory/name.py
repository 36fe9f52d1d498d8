"""Names of the DNS.

They are looked up as tuples of lower-case labels, `(b"web", b"jitsu", b"test")`: exact for any octets a question may
hold, where text would need escapes.
"""

import re

from jitsu.errors import ConfigError

Name = tuple[bytes, ...]
"""Labels, most specific first, without the root's empty one."""

LONGEST_LABEL = 63
LONGEST_NAME = 255
"""Octets of a name on the wire, with one length octet per label and the root's (RFC 1035 section 2.3.4)."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")


def parse_name(text: str) -> Name:
    """The labels of `text` in lower case; one trailing dot is allowed.

    Labels consist of letters, digits, hyphens and underscores and neither begin nor end with a hyphen (RFC 1123
    section 2.1; the underscore is custom). Raises ConfigError for everything else.
    """
    if not text.isascii():
        raise ConfigError(f"the name {text!r} is not ASCII", hint="write its IDNA form; such labels begin with xn--")
    labels = text.lower().removesuffix(".").split(".")
    for label in labels:
        if not label:
            raise ConfigError(f"the name {text!r} has an empty label", hint="one dot between two labels, no more")
        if len(label) > LONGEST_LABEL:
            raise ConfigError(
                f"the name {text!r} has a label of {len(label)} characters",
                hint=f"a label has at most {LONGEST_LABEL} (RFC 1035 section 2.3.4)",
            )
        if not _LABEL.fullmatch(label):
            raise ConfigError(
                f"the label {label!r} of the name {text!r} is not a host name's",
                hint="letters, digits and hyphens, with no hyphen at either end",
            )
    octets = sum(len(label) + 1 for label in labels) + 1
    if octets > LONGEST_NAME:
        raise ConfigError(
            f"the name {text!r} is {octets} octets long",
            hint=f"a name has at most {LONGEST_NAME} on the wire (RFC 1035 section 2.3.4)",
        )
    return tuple(label.encode("ascii") for label in labels)
