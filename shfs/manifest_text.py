"""The manifest of a volume that is there: TOML that `shfs apply` reads; shfs-manifest(5) describes it."""

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from shfs import digests
from shfs.digests import HashFunction
from shfs.entry import NAME_SIZE
from shfs.errors import InputError
from shfs.export import Placed
from shfs.links import LinkKind, LinkTarget, parse_link
from shfs.volume import StoredObject, Volume

Tell = Callable[[str], None]


def manifest_text(volume: Volume, files: Sequence[Placed], tell: Tell) -> str:
    """What makes a volume hold the same again, from files in the folder of the manifest. `tell` gets a sentence for
    whatever a manifest cannot say: names that are empty, there twice or no text, and targets that are no URL."""
    tables: list[tuple[StoredObject, str, dict[str, str]]] = [
        (file.item, "object", {"path": file.path, "mime": _text(file.item, "mime", tell)} | _encoding(file.item, tell))
        for file in files
    ]
    tables += [
        (item, "link", {"url": url, "type": item.type})
        for item in volume.objects()
        if item.link is not None and (url := _url(volume, item, item.link, tell)) is not None
    ]
    by_hand = volume.configuration.function is HashFunction.MANUAL
    names: set[str] = set()
    head: list[str] = []
    body: list[str] = []
    for item, kind, keys in tables:
        name = _name(item, names, tell)
        names.add(name)
        if volume.default is not None and volume.default.slot == item.slot:
            head = [f"default = {_quoted(name)}"]
        all_keys = {**keys, "name": name, **({"digest": item.digest.hex()} if by_hand else {})}
        body += ["", f"[[{kind}]]", *(f"{key} = {_quoted(text)}" for key, text in all_keys.items())]
    return "\n".join([*head, *body, ""])


def _name(item: StoredObject, taken: set[str], tell: Tell) -> str:
    """The name of an object, or one that a manifest can have."""
    if item.name and _is_text(item.name) and item.name not in taken:
        return item.name
    digest = item.digest.hex()
    other = digest[:NAME_SIZE]
    tell(f"the object {digest} named {item.name!r} is named {other} in the manifest: a name is text, and is there once")
    return other


def _text(item: StoredObject, field: str, tell: Tell) -> str:
    """A field of an entry; empty if it is no text."""
    text: str = getattr(item, field)
    if _is_text(text):
        return text
    tell(f"the object {item.name!r} has no {field} in the manifest: {text!r} is no text")
    return ""


def _encoding(item: StoredObject, tell: Tell) -> dict[str, str]:
    text = _text(item, "encoding", tell)
    return {"encoding": text} if text else {}


def _url(volume: Volume, item: StoredObject, link: LinkTarget, tell: Tell) -> str | None:
    """A URL that makes the same link again, with the same digest if one can be found."""
    same = [url for url in _spellings(link.url) if _means(url, link)]
    if not same:
        tell(f"the link {item.name!r} to {link.url!r} is not in the manifest: no URL says the same")
        return None
    configuration = volume.configuration
    if configuration.function is HashFunction.MANUAL:
        return same[0]
    for url in same:
        hasher = digests.new(configuration.function, configuration.digest_length)
        hasher.update(url.encode())
        if hasher.digest() == item.digest:
            return url
    tell(f"the link {item.name!r} gets another digest: its URL was written in another way than {same[0]}")
    return same[0]


def _spellings(url: str) -> Iterator[str]:
    """The URL, and how else it may have been written: with the port that is meant anyway, without its last slash."""
    yield url
    host, slash, path = url.removeprefix("http://").partition("/")
    with_port = f"http://{host}:80" if ":" not in host else f"http://{host}"
    yield f"{with_port}{slash}{path}"
    if not path:
        yield url.removesuffix("/")
        yield with_port


def _means(url: str, link: LinkTarget) -> bool:
    """Is it this very link?"""
    if not _is_text(url) or link.kind not in list(LinkKind):
        return False
    try:
        other = parse_link(url, LinkKind(link.kind))
    except InputError:
        return False
    return (other.host_text, other.port, other.path) == (link.host_text.lower(), link.port, link.path)


def _is_text(text: str) -> bool:
    """Can TOML have it? Not bytes that are no UTF-8."""
    return not any(unicodedata.category(letter) == "Cs" for letter in text)


def _quoted(text: str) -> str:
    """A string of TOML: that of JSON, but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
