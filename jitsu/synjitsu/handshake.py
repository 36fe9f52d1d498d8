"""Whether anybody really is where their SYN says: a handshake that was completed. Pure.

A SYN with a made-up source is answered to somebody else; only who got the SYN-ACK knows the number the guest chose,
and can acknowledge it (RFC 9293, 3.5).
"""

from jitsu.network.frames import ACK, RST, SYN, Segment

_MOST = 512
_WINDOW = 1 << 16
"""Bytes of the guest's that may be acknowledged: of 65,536 guesses one is right."""


class HandshakeWatch:
    """Looks for the first completed handshake of one guest."""

    def __init__(self) -> None:
        self._offered: dict[tuple[bytes, int, int], int] = {}

    def completes(self, segment: Segment, to_guest: bool) -> bool:
        """Does this segment of the guest's port complete a handshake? One that begins is noted."""
        if to_guest:
            key = segment.source, segment.source_port, segment.target_port
            offered = self._offered.get(key)
            if offered is None or segment.flags & (SYN | RST | ACK) != ACK:
                return False
            # Not only the very first: that one may have been overlooked in the crowd, and the next are as good.
            return (segment.acknowledged - offered) & 0xFFFFFFFF < _WINDOW
        if segment.flags & (SYN | RST | ACK) == SYN | ACK:
            if len(self._offered) >= _MOST:
                del self._offered[next(iter(self._offered))]
            key = segment.target, segment.target_port, segment.source_port
            self._offered[key] = (segment.sequence + 1) & 0xFFFFFFFF
        return False
