"""Runs in dom0: what `xen_program.py` does, and at the end how often the store has answered EAGAIN, to any client of
this process: {"refusals": NUMBER}."""

import asyncio
import json
import runpy
import sys
from collections.abc import Sequence

from jitsu.xenstore.link import Answered, Link
from jitsu.xenstore.request import Request
from jitsu.xenstore.wire import Message, Type

Answers = asyncio.Future[Sequence[Message]]

_exchange = Link.exchange
_refusals = 0


def _counting(link: Link, requests: Sequence[tuple[Request, int]], answered: Answered | None = None) -> Answers:
    answers = _exchange(link, requests, answered)
    answers.add_done_callback(_look)
    return answers


def _look(answers: Answers) -> None:
    global _refusals
    if not answers.cancelled() and answers.exception() is None:
        _refusals += sum(each.type == Type.ERROR and each.payload == b"EAGAIN\0" for each in answers.result())


Link.exchange = _counting  # type: ignore[method-assign]
runpy.run_path(sys.argv[1])
print(json.dumps({"refusals": _refusals}))
