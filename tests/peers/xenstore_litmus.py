"""Short histories of two transactions that a merge gets right or wrong, and what each daemon answers.

Who asks is the first word of a line, each a connection of its own: `T` and `U` ask inside their transaction, from
their `start` on; `db` asks outside of any; `W` watches. What must come back stands behind the arrow: for all daemons,
or, with `|` between, for ours, Debian's C xenstored and Debian's oxenstored in this order. A line without an arrow must
be answered OK. A listing is its names, permissions are their list, events are their paths; nothing at all is `-`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Litmus:
    """`script` has one request a line; `name` is its number in the table, or a word."""

    name: str
    meaning: str
    script: tuple[str, ...]


def _table(text: str) -> tuple[Litmus, ...]:
    """Histories with an empty line between: a name, a colon and what happens, then the script."""
    histories = (history.split("\n") for history in text.strip().split("\n\n"))
    return tuple(Litmus(*title.split(": ", 1), tuple(line.strip() for line in lines)) for title, *lines in histories)


TABLE = _table("""
L1: siblings are created below a common root that nobody listed
    db mkdir /r
    T start
    U start
    T write /r/a 1
    U write /r/b 2
    U commit
    T commit -> OK | EAGAIN | OK
    db ls /r -> b a | b | a b

L2: two domains are built: a frontend and a backend each, below roots in common
    db mkdir /local/domain/0/backend/vif
    T start
    U start
    T mkdir /local/domain/5/device/vif/0
    T write /local/domain/5/device/vif/0/backend /local/domain/0/backend/vif/5/0
    T write /local/domain/0/backend/vif/5/0/frontend /local/domain/5/device/vif/0
    U mkdir /local/domain/6/device/vif/0
    U write /local/domain/6/device/vif/0/backend /local/domain/0/backend/vif/6/0
    U write /local/domain/0/backend/vif/6/0/frontend /local/domain/6/device/vif/0
    T commit
    U commit -> OK | EAGAIN | OK
    db ls /local/domain -> 0 5 6 | 0 5 | 0 5 6
    db ls /local/domain/0/backend/vif -> 5 6 | 5 | 5 6

L3: a root is listed and then added to, and another added to it meanwhile
    db mkdir /r
    T start
    U start
    T ls /r -> -
    T write /r/a 1
    U write /r/b 2
    U commit
    T commit -> EAGAIN
    db ls /r -> b

L4: each sees the other's lock missing and takes its own, in another directory
    db mkdir /one
    db mkdir /two
    T start
    U start
    T read /two/lock -> ENOENT
    U read /one/lock -> ENOENT
    T write /one/lock T
    U write /two/lock U
    U commit
    T commit -> EAGAIN | EAGAIN | OK
    db read /one/lock -> ENOENT | ENOENT | T

L4b: the same in one directory
    db mkdir /locks
    T start
    U start
    T read /locks/u -> ENOENT
    U read /locks/t -> ENOENT
    T write /locks/t T
    U write /locks/u U
    U commit
    T commit -> EAGAIN
    db ls /locks -> u

L5: write skew: each reads what the other writes
    db write /x 0
    db write /y 0
    T start
    U start
    T read /x -> 0
    U read /y -> 0
    T write /y 1
    U write /x 1
    U commit
    T commit -> EAGAIN
    db read /y -> 0

L6: a counter is incremented by two
    db write /counter 0
    T start
    U start
    T read /counter -> 0
    U read /counter -> 0
    T write /counter 1
    U write /counter 1
    U commit
    T commit -> EAGAIN

L7: a directory is removed that was never listed, and another added to it: watchers of the addition learn its end
    db write /q/k 1
    T start
    U start
    T rm /q
    U write /q/new 1
    U commit
    W watch /q/new
    T commit -> OK | EAGAIN | OK
    W events -> /q/new | - | /q/new
    db read /q/new -> ENOENT | 1 | ENOENT
    db read /q -> ENOENT | - | ENOENT

L7b: a directory is added to that another removed: what was in it stays away
    db write /q/k 1
    T start
    U start
    T write /q/new 1
    U rm /q
    U commit
    T commit -> OK | EAGAIN | OK
    db ls /q -> new | ENOENT | new
    db read /q/k -> ENOENT

L7c: a directory is removed after it was listed, and another added to it
    db write /q/k 1
    T start
    U start
    T ls /q -> k
    T rm /q
    U write /q/new 1
    U commit
    T commit -> EAGAIN
    db ls /q -> k new

L8: what a transaction removed is gone from listings, and itself, and all below it
    db write /q/k/deep 1
    db write /other 1
    T start
    T rm /q
    T read /q/k/deep -> ENOENT
    db read /q/k/deep -> 1
    T commit
    db read /q -> ENOENT
    db read /q/k -> ENOENT
    db read /q/k/deep -> ENOENT
    db write /q/again 1
    db ls /q -> again

L9: two nodes are read of which another wrote both in between
    db write /x 0
    db write /y 0
    T start
    T read /x -> 0
    db write /x 1
    db write /y 1
    T read /y -> 0 | 1 | 0
    T commit -> OK | EAGAIN | OK

L9b: what was written after the start and before the first request
    db write /x 0
    T start
    db write /x 1
    T read /x -> 1 | 1 | 0
    T write /y 1
    T commit -> OK | OK | EAGAIN

L10: who only read has read at its start, whatever was written since
    db write /x 0
    T start
    T read /x -> 0
    db write /x 1
    T commit -> OK | EAGAIN | OK

L11: two write one node that neither read: the last to commit wins
    db write /x 0
    T start
    U start
    T write /x T
    U write /x U
    U commit
    T commit -> OK | EAGAIN | OK
    db read /x -> T | U | T

L11b: two create one node
    db mkdir /r
    T start
    U start
    T write /r/x T
    U write /r/x U
    U commit
    T commit -> OK | EAGAIN | OK
    db read /r/x -> T | U | T

L12: a child is created while its parent's permissions are taken away: it inherits those that are
    db write /p 1
    db chmod /p n0 r7
    T start
    U start
    T write /p/secret 1
    U chmod /p n0
    U commit
    T commit -> OK | EAGAIN | OK
    db perms /p/secret -> n0 | ENOENT | n0

L12b: a child is created while its parent's value is written
    db write /p 0
    T start
    U start
    T write /p/child 1
    U write /p 1
    U commit
    T commit -> OK | EAGAIN | OK
    db read /p -> 1

L14: a node is made that exists, and another removes it: made again, the answer is the same
    db mkdir /e
    T start
    U start
    T mkdir /e
    T write /other 1
    U rm /e
    U commit
    T commit -> OK | EAGAIN | OK
    db read /e -> - | ENOENT | -

L14b: a node is made that exists; another removes it and says so: what it said was read too early
    db mkdir /g/e
    db write /g/flag there
    T start
    U start
    T mkdir /g/e
    T read /g/flag -> there
    T write /g/other 1
    U rm /g/e
    U write /g/flag removed
    U commit
    T commit -> EAGAIN

L15: what was read is written, and written back
    db write /x A
    T start
    T read /x -> A
    db write /x B
    db write /x A
    T write /y 1
    T commit -> OK | EAGAIN | OK

L15b: what was read is written as it is
    db write /x A
    T start
    T read /x -> A
    db write /x A
    T write /y 1
    T commit -> OK | EAGAIN | OK

L16: a value is read while another creates a child
    db write /x 0
    T start
    U start
    T read /x -> 0
    T write /y 1
    U write /x/child 1
    U commit
    T commit -> OK | EAGAIN | OK

L16b: a directory is listed while another writes its value
    db write /x/child 0
    T start
    U start
    T ls /x -> child
    T write /y 1
    U write /x 1
    U commit
    T commit -> OK | EAGAIN | OK

L17: of a root that nobody listed one removes a child and one creates another
    db write /r/old 1
    T start
    U start
    T rm /r/old
    U write /r/new 1
    U commit
    T commit -> OK | EAGAIN | OK
    db ls /r -> new | old new | new

L19: a transaction that was refused is over
    db write /x 0
    T start
    T read /x -> 0
    T write /x 1
    db write /x 2
    T commit -> EAGAIN
    T read /x -> ENOENT | ENOENT | EIO
    T commit -> ENOENT | ENOENT | EIO

removed-nothing: a missing name is removed that another has just created: what changed nothing stands before that
    db mkdir /r
    T start
    U start
    T rm /r/n
    U write /r/n/body 1
    U commit
    T commit -> OK | EAGAIN | OK
    db read /r/n/body -> 1

created-then-removed: a name is removed that another has just made anew: with all that is below it now
    db write /r/n/old 1
    T start
    U start
    T rm /r/n
    U rm /r/n
    U write /r/n/body 1
    U commit
    T commit -> OK | EAGAIN | OK
    db read /r/n/body -> ENOENT | 1 | ENOENT
    db ls /r -> - | n | -

removed-then-created: a name is made anew that another has just removed: nothing of the old one comes back
    db write /r/n/body 1
    db write /r/n old
    db chmod /r/n n0 r7
    T start
    U start
    T mkdir /r/n/new
    U rm /r/n
    U commit
    T commit -> OK | EAGAIN | OK
    db ls /r/n -> new | ENOENT | new
    db read /r/n -> - | ENOENT | -
    db perms /r/n -> n0 | ENOENT | n0

first-of-a-class: two make the same missing directory and put a child in it: the permissions of the last to commit count
    db mkdir /r
    T start
    U start
    T mkdir /r/x
    T chmod /r/x n0 r5
    T write /r/x/t 1
    U mkdir /r/x
    U chmod /r/x n0 r6
    U write /r/x/u 1
    U commit
    T commit -> OK | EAGAIN | OK
    db ls /r/x -> u t | u | t u
    db perms /r/x -> n0 r5 | n0 r6 | n0 r5

listed-own-addition: a listing that shows an own addition shows the others too
    db mkdir /r
    T start
    U start
    T write /r/t 1
    T ls /r -> t
    U write /r/u 1
    U commit
    T commit -> EAGAIN
    db ls /r -> u

aborted: what is given up was never there, and its watchers hear nothing
    db write /x 0
    W watch /x
    T start
    T write /x 1
    T read /x -> 1
    db read /x -> 0
    T abort
    W events -> -
    db read /x -> 0
    T read /x -> ENOENT | ENOENT | EIO

told-at-commit: watchers hear of what a transaction changed when it is committed, and of each node once
    db mkdir /r
    W watch /r
    T start
    T write /r/a 1
    T write /r/a 2
    T write /r/gone 1
    T rm /r/gone
    W events -> -
    T commit
    W events -> /r/a | /r/a | /r/a /r/a /r/gone /r/gone

missing-below: a name is missing because its parent is, and another makes the parent: it is missing still
    db mkdir /r
    T start
    U start
    T read /n/x -> ENOENT
    T write /r/t 1
    U mkdir /n
    U commit
    T commit -> OK | EAGAIN | OK

permissions-seen: permissions are read, and another sets them
    db write /p 1
    T start
    U start
    T perms /p -> n0
    T write /t 1
    U chmod /p n0 r3
    U commit
    T commit -> EAGAIN

permissions-not-seen: a value is read whose permissions another sets
    db write /p 1
    T start
    U start
    T read /p -> 1
    T write /t 1
    U chmod /p n0 r3
    U commit
    T commit -> OK | EAGAIN | OK

grandchild: a directory is listed, and another removes what is below its child
    db write /r/a/x 1
    T start
    U start
    T ls /r -> a
    T write /t 1
    U rm /r/a/x
    U commit
    T commit -> OK

order-seen: a directory is listed, and another moves a name to its end
    db write /r/a 1
    db write /r/b 1
    T start
    U start
    T ls /r -> a b
    T write /t 1
    U rm /r/a
    U write /r/a 1
    U commit
    T commit -> EAGAIN | EAGAIN | OK
    db ls /r -> b a | b a | a b
""")
