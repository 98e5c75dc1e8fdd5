"""Files: where the bytes of an upload come from, where those of a download go, and how far they are.

    client.v1.files.create({"purpose": purpose, "file": open("receipt.pdf", "rb")}, {"progress": print})
    client.v1.quotes.pdf("qt_1", options={"save_to": "quote.pdf"})
    client.download(file.url, write_to=digest.update)

A `file` is anything with `read`, a function that returns the next bytes (b"" at the end), bytes, a path, or a dict:
{"reader": ..., "length": n, "rewind": function, "filename": ..., "type": ...}, with "content" or "path" in place of the
reader. A source is read between the pieces of a transfer, never whole, and from its beginning again only if it can
seek or has a `rewind`: else the request is not sent twice. What a reader, a writer or `progress` raises passes through.
A call of asyncio runs them on its own thread."""

import io
import os
from functools import partial

from . import _core
from ._object import UNSET

PIECE = 262144


class Source:
    """The bytes of one file."""

    def __init__(self, read, rewind, most=None):
        self.read, self.rewind, self.most = read, rewind, most
        self.attempt = self.given = 0

    def feed(self, exchange):
        attempt = _core.exchange_hungry(exchange)
        if not attempt:
            return
        if attempt != self.attempt:
            if self.attempt:
                self.rewind()
            self.attempt, self.given = attempt, 0
        piece = as_bytes(self.read())
        self.given += len(piece)
        if self.most is not None and self.given > self.most:
            raise ValueError(f"params.file: the reader gave more than the {self.most} bytes of its length")
        _core.exchange_feed(exchange, piece)


def as_bytes(piece):
    if isinstance(piece, str):
        return piece.encode()
    if isinstance(piece, BYTES):
        return bytes(piece)
    raise TypeError(f"params.file: read() must give bytes or str, not {type(piece).__name__}")


def position(file):
    """Where an open file stands, if it can come back there."""
    try:
        can_seek = file.seekable() if hasattr(file, "seekable") else hasattr(file, "seek")
        return file.tell() if can_seek else None
    except (AttributeError, OSError):
        return None


def opened(file):
    """(read, rewind or None, length or None) of an open file, from where it stands."""
    try:
        is_text = isinstance(file.read(0), str)
    except TypeError:
        return opened(io.BytesIO(as_bytes(file.read())))  # it can only be read whole
    read, start = partial(file.read, PIECE), position(file)
    if start is None:
        return read, None, None
    if is_text:
        length = sum(len(piece.encode()) for piece in iter(read, ""))
    else:
        file.seek(0, io.SEEK_END)
        length = file.tell() - start
    rewind = partial(file.seek, start)
    rewind()
    return read, rewind, length


def check(good, what):
    if not good:
        raise TypeError(f"params.file{what}")


def as_dict(file):
    """The dict that stands for a file of any form."""
    if isinstance(file, dict):
        unknown = [name for name in file if name not in KEYS]
        check(not unknown, f": {unknown[:1]} is none of {', '.join(KEYS)}")
        given = [name for name in SOURCES if file.get(name) is not None]
        check("reader" not in given[:-1], " takes one of reader, content and path")
        is_bytes = given == ["content"] and isinstance(file["content"], BYTES)
        return {**file, "reader": file["content"]} if is_bytes else file
    if isinstance(file, os.PathLike):
        return {"path": os.fspath(file)}
    forms = "an open file, a function that returns the next bytes, bytes, a pathlib.Path or a dict"
    good = isinstance(file, BYTES) or hasattr(file, "read") or callable(file)
    check(good, f" must be {forms}, not {type(file).__name__}")
    return {"reader": file}


SOURCES = ("reader", "content", "path")
KEYS = (*SOURCES, "rewind", "length", "filename", "type")
BYTES = (bytes, bytearray, memoryview)


def take_source(params):
    """The params as the core wants them, and the source of their file or None."""
    file = params.get("file") if hasattr(params, "get") else None
    if file is None or file is UNSET:
        return params, None
    file = as_dict(file)
    reader, rewind, length = file.get("reader"), file.get("rewind"), file.get("length")
    if reader is None:
        return {**params, "file": file}, None
    check(rewind is None or callable(rewind), ".rewind must be a function")
    check(length is None or (type(length) is int and length >= 0), ".length must be a number of bytes")
    source, name = None, file.get("filename")
    if isinstance(reader, BYTES):
        reader = io.BytesIO(reader)
    if hasattr(reader, "read"):
        given = getattr(reader, "name", None)
        name = name or (os.path.basename(given) if isinstance(given, str) else None)
        read, rewind, length = opened(reader)
        source = Source(read, rewind)
    check(source or callable(reader), ".reader must be a function or an open file")
    facts = {"feed": True, "rewind": rewind is not None, "length": length, "filename": name, "type": file.get("type")}
    return {**params, "file": facts}, source or Source(reader, rewind, length)


class Tender:
    """What is done between the pieces of a transfer."""

    def __init__(self, source, write, progress):
        self.source, self.write, self.progress, self.at = source, write, progress, None

    def __call__(self, exchange):
        while self.write:
            piece = _core.exchange_take(exchange)
            if not piece:
                break
            self.write(piece)
        if self.source:
            self.source.feed(exchange)
        if self.progress:
            done, total = at = _core.exchange_progress(exchange)
            if at != self.at:
                self.at = at
                self.progress(done, total if total >= 0 else None)


def take_function(options, name, method):
    given = options.pop(name, None)
    if given is None:
        return None
    value = getattr(given, method, given)
    if not callable(value):
        raise TypeError(f"the option {name} must be a function, not {type(value).__name__}")
    if getattr(getattr(value, "__code__", None), "co_flags", 0) & CO_COROUTINE:
        raise TypeError(f"the option {name} must be a plain function: nobody would await this one")
    return partial(write_whole, value) if isinstance(given, io.RawIOBase) else value


CO_COROUTINE = 0x80  # as in inspect


def write_whole(write, piece):
    """To a file without a buffer, which may take a part of a piece."""
    while piece:
        piece = piece[write(piece) or 0 :]


def prepare(params, options):
    """The params and options as the core wants them, and what is done between the pieces of their transfer."""
    options = dict(options or {})
    write, progress = take_function(options, "write_to", "write"), take_function(options, "progress", "__call__")
    if "stream" in options:
        raise TypeError("stream is not an option; the nearest is write_to")
    if write and options.get("save_to") is not None:
        raise TypeError("either write_to or save_to, not both")
    if write:
        options["stream"] = True
    params, source = take_source(params)
    return params, options, Tender(source, write, progress) if source or write or progress else None
