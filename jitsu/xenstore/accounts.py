"""What a domain has of the store beside its nodes, over all its connections: a quota is a domain's, not a connection's.

Nothing is counted here: the sums are made when a quota asks for them, which it never does for domain 0.
"""

from jitsu.xenstore.peer import Peer


class Account:
    """One domain's."""

    __slots__ = ("peers",)

    def __init__(self) -> None:
        self.peers: dict[Peer, None] = {}
        """Its connections."""

    @property
    def connections(self) -> int:
        return len(self.peers)

    @property
    def watches(self) -> int:
        return sum(len(peer.watches) for peer in self.peers)

    @property
    def transactions(self) -> int:
        return sum(len(peer.transactions) for peer in self.peers)

    @property
    def unanswered(self) -> int:
        """Requests whose answers were not sent yet."""
        return sum(peer.unanswered for peer in self.peers)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent."""
        return sum(peer.backlog for peer in self.peers)

    def besides(self) -> int:
        """Bytes of what waits to be sent, of watches, and of what is remembered of open transactions."""
        total = 0
        for peer in self.peers:
            total += peer.backlog + peer.watched
            for transaction in peer.transactions.values():
                total += transaction.size
        return total
