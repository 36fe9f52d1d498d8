"""The referee of a history: plays it on a store and on the model, and compares each answer, verdict, tree and event.

What a client asks while an earlier request of his is held back is left out: the server would not read it. At the end
everybody commits, one after the other.
"""

from collections import Counter

from jitsu.xenstore.control import Control
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.lease import PERIOD
from jitsu.xenstore.paths import is_special
from jitsu.xenstore.store import STRICT, Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.wire import Message, Parser, Type, joined
from tests.unit.xenstore_histories import (
    CLIENTS,
    FURNISHED,
    KINDS,
    LIMITS,
    LONG,
    TRANSACTIONS,
    WATCHES,
    Client,
    Step,
    ask_of,
    ensure,
    furnish,
    payload_of,
)
from tests.unit.xenstore_model import (
    Answer,
    Ask,
    Happened,
    Refused,
    Run,
    Transaction,
    Tree,
    Watch,
    Who,
    below,
    canonical,
    committed,
    difference,
)


class Referee:
    """Plays a history on a store and on the model. Raises `WrongError`; `tally` counts what happened."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tally: Counter[str] = Counter()
        self.store = Store(Domains(0, 99), clock=lambda: self.now)
        Toolstack(self.store, introduced=self._introduced, released=self._released)
        Control(self.store)
        furnish(self.store)
        self.targets: dict[int, int] = {}
        self.introduced = {1, 2}
        self.watches: list[Watch] = []
        self.generations: dict[tuple[object, str, object], object] = {}
        self.tick = 1
        self.tree = FURNISHED
        """What the store holds, by the model. A dictionary is never changed once it is here."""
        self.clients = [Client(self.store.connect(domid)) for domid in CLIENTS]
        self.past: dict[int, tuple[Tree, dict[int, int]]] = {}
        """For each commit of the store what there was, and who served whom."""
        self._remember()

    # Steps

    def play(self, history: list[Step]) -> None:
        for each in history:
            client = self.clients[each.client]
            if each.operation == "wait":
                self._wait()
            elif client.held is None:
                self._take(client, each)
        for index, client in enumerate(self.clients):
            for slot in list(client.ids):
                while client.held is not None:
                    self._wait()
                if slot in client.ids:
                    self._take(client, Step(index, slot, "commit"))
        while any(client.held for client in self.clients):
            self._wait()
        self._ended()

    def _take(self, client: Client, each: Step) -> None:
        """One step of a client that is not held."""
        operation = each.operation
        if operation == "disconnect":
            self._leave(client)
        elif operation == "target":
            self._ask(client, each, Type.SET_TARGET, 0, joined(b"2", b"1"))
        elif operation in ("release", "introduce"):
            domid = b"%d" % (1 + each.argument % 2)
            words = (domid,) if operation == "release" else (domid, b"1", b"1")
            self._ask(client, each, Type.RELEASE if operation == "release" else Type.INTRODUCE, 0, joined(*words))
        elif operation == "reset":
            self._ask(client, each, Type.RESET_WATCHES, 0, b"\0")
        elif operation in ("watch", "unwatch"):
            words = (each.path.replace(LONG, "").encode(), b"t%d" % (each.argument % 2))
            if operation == "watch" and each.argument >= 12:
                words = (*words, b"%d" % (each.argument - 12))
            self._ask(client, each, Type.WATCH if operation == "watch" else Type.UNWATCH, 0, joined(*words))
        elif operation in ("commit", "abort"):
            slot = each.slot if each.slot in client.ids else next(iter(client.ids), 0)
            if slot or each.argument == 15:
                payload = b"T\0" if operation == "commit" else b"F\0"
                self._ask(client, each._replace(slot=slot), Type.TRANSACTION_END, client.ids.get(slot, 77), payload)
        elif operation == "strict":
            if each.slot and each.slot not in client.ids:
                self._ask(client, each, Type.TRANSACTION_START, 0, STRICT)
        else:
            slot = each.slot if operation != "restrict" else 0
            if slot and slot not in client.ids:
                self._ask(client, each, Type.TRANSACTION_START, 0, b"\0")
                if slot not in client.ids:
                    return
            self._ask(client, each, KINDS[operation], client.ids[slot] if slot else 0, payload_of(ask_of(each)))

    def _ask(self, client: Client, each: Step, kind: int, transaction: int, payload: bytes) -> None:
        message = Message(kind, 7, transaction, payload)
        if self._execute(client, each, message):
            self._resume()
        else:
            client.held = (each, message, self.now)

    def _execute(self, client: Client, each: Step, message: Message) -> bool:
        """Says whether it was answered."""
        commit = self.store.tree.commit
        self._foresee(client, message)
        taken = self.store.execute(client.peer, message)
        if taken is not None:
            self.tally["held"] += 1
            ensure(self.store.tree.commit == commit and not self.store.unsent, "a request that is held did something")
            self.store.leases.wait(taken, client.peer)
            return False
        self._judge(client, each, message)
        return True

    def _resume(self) -> None:
        """What the server does at the end of a turn."""
        resumed = self.store.resumed
        while resumed:
            peer = resumed.pop(0)
            client = next((client for client in self.clients if client.peer is peer), None)
            if client is None or client.held is None or self.store.leases.waits_on(peer):
                continue
            each, message, since = client.held
            client.held = None
            if self._execute(client, each, message):
                ensure(self.now - since <= PERIOD * len(CLIENTS) + 1e-9, "held for too long", self.now - since)
                self.store.leases.served(peer)
                self.tally["held, then answered"] += 1
            else:
                client.held = (each, message, since)

    def _wait(self) -> None:
        """Time passes until the next lease runs out."""
        deadline = self.store.leases.next_deadline()
        ensure(deadline is not None or not any(client.held for client in self.clients), "held, and by no lease")
        if deadline is None:
            return
        ensure(deadline >= self.now, "a lease lasted too long")
        self.now = deadline
        self.store.expire()
        self.tally["lease expired"] += 1
        self._resume()

    def _leave(self, client: Client) -> None:
        """The connection ends, and another begins."""
        self.store.disconnect(client.peer)
        self._forget(client)
        client.held = None
        client.peer = self.store.connect(client.domid)
        client.parser = Parser()
        self._resume()

    def _introduced(self, domid: int) -> None:
        for client in self.clients:
            if client.domid == domid:
                self.store.reset(client.peer)
                self._forget(client)

    def _released(self, domid: int) -> None:
        for client in self.clients:
            if client.domid == domid:
                self.store.disconnect(client.peer)
                self._forget(client)
                client.held = None

    def _forget(self, client: Client) -> None:
        self.watches = [watch for watch in self.watches if watch.client is not client]
        for known in (client.ids, client.transactions, client.moments):
            known.clear()

    # What the model says

    def _foresee(self, client: Client, message: Message) -> None:
        """What will have been so before the request."""
        real = client.peer.transactions.get(message.transaction)
        self.fast = real is not None and real.draft.holds()
        self.contradictions = [kind for kind, _ in real.draft.contradictions()] if real is not None else []
        self.behind = False
        if real is not None and not real.doom and message.type in KINDS.values():
            self.behind = real.draft.moment != self.store.tree.commit

    def _judge(self, client: Client, each: Step, message: Message) -> None:
        kind, known = message.type, client.transactions.get(message.transaction)
        if kind == Type.TRANSACTION_START:
            self._judge_start(client, each, message)
        elif kind == Type.TRANSACTION_END:
            self._judge_end(client, each, message)
        elif kind == Type.WATCH or kind == Type.UNWATCH:
            self._judge_watch(client, each, message)
        elif kind in (Type.RELEASE, Type.INTRODUCE, Type.SET_TARGET, Type.RESET_WATCHES):
            self._judge_domain(client, each, message)
        elif known is not None:
            self._judge_inside(client, each, message, known)
        else:
            answer, happened = self._change(Run(self.tree, self._who(client), LIMITS), ask_of(each))
            self._fire(happened)
            self._answered(client, message, answer, None, each.path)

    def _judge_inside(self, client: Client, each: Step, message: Message, known: Transaction) -> None:
        ask, identity = ask_of(each), message.transaction
        if known.doom:
            try:
                known.run.path_of(ask)
                answer: Answer = known.doom
            except Refused as refused:
                answer = str(refused)
            self._answered(client, message, answer)
            return
        moment = client.peer.transactions[identity].draft.moment
        if moment == client.moments[identity]:
            self._could_not_move(client, known, ask, moment)
        else:
            # It says that its answers are those of another moment now: then they all must be.
            self.tally["moved forward"] += 1
            tree, targets = self.past[moment]
            run, verdict = known.again(tree, self._who(client, targets))
            ensure(verdict == "OK", "moved to a moment at which earlier answers are false")
            known.run, client.moments[identity] = run, moment
        if self.behind and moment != self.store.tree.commit:
            self.tally["answered from the past"] += 1
        answer = known.run.perform(ask)
        if answer != "EINVAL" or not ask.path.startswith(("/a//", "@")):
            known.log.append((ask, answer))
        if known.strict and isinstance(answer, str):
            self.tally["doomed"] += 1
            known.doom = answer
        self._answered(client, message, answer, (id(known), message.transaction), each.path)

    def _could_not_move(self, client: Client, known: Transaction, ask: Ask, moment: int) -> None:
        """Where the answer is from a moment at which the node was another, the present must be out of reach."""
        if moment == self.store.tree.commit:
            return
        try:
            path = known.run.path_of(ask)
        except Refused:
            return
        then, now = self.past[moment][0].get(path), self.tree.get(path)
        same = then is None and now is None
        if then is not None and now is not None:
            same = then[:3] == now[:3] and (ask.kind not in ("directory", "part") or then.names == now.names)
        if not same:
            _, verdict = known.again(self.tree, self._who(client))
            ensure(verdict != "OK", "answered from the past although nothing stood against the present")

    def _judge_start(self, client: Client, each: Step, message: Message) -> None:
        open_ones = sum(len(other.transactions) for other in self.clients if other.domid == client.domid)
        if client.domid and open_ones >= TRANSACTIONS:
            self._answered(client, message, "ENOSPC")
            return
        identity = max(client.peer.transactions)
        strict = message.payload == STRICT
        client.ids[each.slot] = identity
        client.transactions[identity] = Transaction(self.tree, self._who(client), LIMITS, strict=strict)
        client.moments[identity] = self.store.tree.commit
        self._answered(client, message, b"%d\0" % identity)

    def _judge_end(self, client: Client, each: Step, message: Message) -> None:
        known = client.transactions.pop(message.transaction, None)
        if known is None:
            self._answered(client, message, "ENOENT")
            return
        del client.ids[each.slot], client.moments[message.transaction]
        verdict = "OK"
        if each.operation == "abort":
            self.tally["aborted"] += 1
        elif known.doom:
            verdict = known.doom
        elif not known.run.touched:
            self.tally["committed: wrote nothing"] += 1
        else:
            run, verdict = known.again(self.tree, self._who(client))
            if verdict == "OK":
                self._fire(self._commit(run))
            way = verdict if verdict != "OK" else "OK, facts hold" if self.fast else "OK, by replay"
            self.tally[f"committed: {way}"] += 1
            self.tally.update(f"{verdict} despite {kind}" for kind in self.contradictions)
        self._answered(client, message, b"OK\0" if verdict == "OK" else verdict)

    def _judge_watch(self, client: Client, each: Step, message: Message) -> None:
        words = message.payload.decode().split("\0")[:-1]
        given, token = words[0], words[1]
        depth = int(words[2]) if len(words) > 2 else None
        mine = [watch for watch in self.watches if watch.client is client]
        of_domain = sum(watch.who().domid == client.domid for watch in self.watches)
        try:
            path = canonical(given, client.domid, LIMITS, special=True)
        except Refused as refused:
            self._answered(client, message, str(refused))
            return
        same = next((watch for watch in mine if (watch.path, watch.token) == (path, token)), None)
        if message.type == Type.UNWATCH:
            if same is not None:
                self.watches.remove(same)
            self._answered(client, message, b"OK\0" if same else "ENOENT")
        elif same is not None or (client.domid and of_domain >= WATCHES):
            self._answered(client, message, "EEXIST" if same else "ENOSPC")
        else:
            self.watches.append(Watch(client, lambda: self._who(client), path, given, token, depth))
            client.expected.append((given, token))
            self._answered(client, message, b"OK\0")

    def _judge_domain(self, client: Client, each: Step, message: Message) -> None:
        domid = 1 + each.argument % 2
        answer: Answer = b"OK\0"
        if message.type == Type.RESET_WATCHES:
            self._forget(client)
        elif client.domid:
            answer = "EACCES"
        elif message.type == Type.SET_TARGET:
            if self.introduced >= {1, 2}:
                self.targets = {2: 1}
            else:
                answer = "ENOENT"
        elif message.type == Type.INTRODUCE:
            if domid not in self.introduced:
                self.introduced.add(domid)
                self._fire_special("@introduceDomain", domid)
        elif domid in self.introduced:
            self.introduced.discard(domid)
            self.targets = {}
            self._clear_away(domid)
            self._fire_special("@releaseDomain", domid)
            for other in self.clients:
                if other.domid == domid:
                    other.peer = self.store.connect(domid)
                    other.parser = Parser()
        else:
            answer = "ENOENT"
        self._answered(client, message, answer)

    # Changes by the model

    def _who(self, client: Client, targets: dict[int, int] | None = None) -> Who:
        return Who(client.domid, (self.targets if targets is None else targets).get(client.domid))

    def _change(self, run: Run, ask: Ask) -> tuple[Answer, list[Happened]]:
        answer = run.perform(ask)
        return answer, self._commit(run) if run.touched else []

    def _commit(self, run: Run) -> list[Happened]:
        self.tick += 1
        before, self.tree = self.tree, committed(run.base, run.tree, self.tick)
        return difference(before, self.tree, run.touched)

    def _clear_away(self, domid: int) -> None:
        """A domain is no more. One after the other, as they stand in the tree."""
        happened: list[Happened] = []
        named = [path for path in [*below(self.tree, "/"), "@introduceDomain", "@releaseDomain"] if path in self.tree]
        for path in named:
            run = Run(self.tree, Who(0), LIMITS)
            node = self.tree.get(path)
            if node is None or not any(int(perm[1:]) == domid for perm in node.perms):
                continue
            if node.owner == domid and path != "/" and not is_special(path):
                run.cut(path)
                run.touched = [path]
            else:
                first = f"{node.perms[0][0]}{0 if node.owner == domid else node.owner}"
                stripped = (first, *(perm for perm in node.perms[1:] if int(perm[1:]) != domid))
                run.tree[path] = node._replace(perms=stripped)
            happened += self._commit(run)
        self._fire(happened)

    def _fire(self, happened: list[Happened]) -> None:
        for each in happened:
            for watch in self.watches:
                path = watch.hears(each)
                if path is not None:
                    assert isinstance(watch.client, Client)
                    if (path, watch.token) not in watch.client.expected:
                        watch.client.expected.append((path, watch.token))

    def _fire_special(self, name: str, domid: int) -> None:
        single = f"{name}/{domid}"
        perms = self.tree[name].perms
        for watch in self.watches:
            if watch.path in (name, single) and watch.who().may_by(perms, "r"):
                assert isinstance(watch.client, Client)
                by_domain = watch.path == single or (watch.depth or 0) > 0
                watch.client.expected.append((single if by_domain else name, watch.token))

    # Comparing

    def _answered(
        self, client: Client, message: Message, answer: Answer, context: object = None, path: str = ""
    ) -> None:
        """Compare the answer, everybody's events, and the trees."""
        replies = self._heard(client)
        for other in self.clients:
            if other is not client and (other.peer.backlog or other.expected):
                ensure(not self._heard(other), "an answer to another client")
        ensure(len(replies) == 1, "answers", replies)
        reply = replies[0]
        if isinstance(answer, str):
            self.tally[answer] += 1
            ensure(reply == message._replace(type=Type.ERROR, payload=answer.encode() + b"\0"), reply, answer)
        elif isinstance(answer, tuple):
            generation, _, part = reply.payload.partition(b"\0")
            ensure(part == answer[1], reply, answer)
            # A generation is a name for a list: the same for the same, another for another.
            forth = self.generations.setdefault((context, path, generation), answer[0])
            back = self.generations.setdefault((context, path, answer[0]), generation)
            ensure((forth, back) == (answer[0], generation), reply, answer)
        else:
            ensure(reply == message._replace(payload=answer), reply, answer)
        self._compare_trees()
        self._remember()

    def _heard(self, client: Client) -> list[Message]:
        """Take what is in the outbox: compare the events, give the answers."""
        peer = client.peer
        replies: list[Message] = []
        events: list[tuple[str, str]] = []
        if peer.backlog:
            waiting = peer.waiting()
            peer.sent(len(waiting))
            for message in client.parser.feed(waiting):
                if message.type == Type.WATCH_EVENT:
                    path, token = message.payload.decode().split("\0")[:2]
                    events.append((path, token))
                else:
                    ensure(not events or message.type != Type.WATCH, "an event before the answer to its watch")
                    replies.append(message)
        self.store.unsent.pop(peer, None)
        ensure(events == client.expected, "events", events, client.expected)
        self.tally["events"] += len(events)
        client.expected.clear()
        return replies

    def _remember(self) -> None:
        self.past[self.store.tree.commit] = (self.tree, self.targets)

    def _compare_trees(self) -> None:
        if self.store.tree.commit in self.past:
            ensure(self.past[self.store.tree.commit][0] is self.tree, "a change without a commit")
            return
        real = [
            (path, node.value, node.perms.encode(), node.perms.restricted)
            for path, node in self.store.tree.everything()
        ]
        mine = [
            (path, node.value, "".join(perm + "\0" for perm in node.perms).encode(), node.restricted)
            for path in [*below(self.tree, "/"), "@introduceDomain", "@releaseDomain"]
            for node in [self.tree[path]]
        ]
        ensure(real == mine, "trees", real, mine)

    def _ended(self) -> None:
        """Nothing is left of transactions, and what is counted is so."""
        store, tree = self.store, self.store.tree
        operator = store.connect(0)
        store.execute(operator, Message(Type.CONTROL, 7, 0, b"check\0"))
        ensure(operator.waiting()[16:] == b"OK\0", "check", operator.waiting())
        ensure(tree.remembered == 0, "remembered", tree.remembered)
        ensure(not store.leases and not store.resumed, "leases")
        owned: Counter[int] = Counter()
        mentioned: Counter[int] = Counter()
        weight: Counter[int] = Counter()
        for path, node in self.tree.items():
            owned[node.owner] += 1
            weight[node.owner] += len(path) + len(node.value)
            mentioned.update(int(perm[1:]) for perm in node.perms)
        ensure(tree.owned == owned, "owned", tree.owned, owned)
        ensure(tree.weight == weight, "weight", tree.weight, weight)
        ensure(tree.mentioned == mentioned, "mentioned", tree.mentioned, mentioned)
        ensure(len(tree) == len(self.tree), "nodes")
