"""The MIME type of a file, by the extension of its name.

It does not depend on the machine: what Python knows by itself is taken, and the files of the system that tell more are
not. The table below is what Python does not know, or knows differently from one version to another.
"""

import functools
import mimetypes
import posixpath

from shfs.entry import MIME_SIZE

ANYTHING = "application/octet-stream"

_TYPES = {
    ".7z": "application/x-7z-compressed",
    ".aac": "audio/aac",
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".bz2": "application/x-bzip2",
    ".cmfa": "audio/mp4",
    ".cmfv": "video/mp4",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eot": "application/vnd.ms-fontobject",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gz": "application/gzip",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".m4a": "audio/mp4",
    ".m4s": "video/iso.segment",
    ".m4v": "video/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".mpd": "application/dash+xml",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rss": "application/rss+xml",
    ".srt": "application/x-subrip",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".vtt": "text/vtt",
    ".weba": "audio/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}


@functools.cache
def _of_python() -> mimetypes.MimeTypes:
    """What Python knows. To make it takes some milliseconds, of which most starts of shfs need none."""
    return mimetypes.MimeTypes()


def media_type(name: str) -> str:
    """The type of a file of that name. It is empty for a name without extension, which caches serve as text, and
    application/octet-stream for an extension that is not known. It may be longer than an entry's field."""
    extension = posixpath.splitext(name)[1].lower()
    if not extension:
        return ""
    if extension in _TYPES:
        return _TYPES[extension]
    kind, encoding = _of_python().guess_type(f"file{extension}", strict=False)
    # Readers tell nobody of an encoding: what is packed is served as a packed file.
    return ANYTHING if kind is None or encoding is not None else kind


def fits(kind: str) -> bool:
    """Does an entry hold the type?"""
    return len(kind.encode("utf-8", "surrogateescape")) <= MIME_SIZE
