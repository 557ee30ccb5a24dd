"""Just enough of the CQL protocol (version 4) to ask a node how it is: one query, an answer of texts and numbers."""

import socket
import struct

from process import NotYet

ERROR, STARTUP, READY, QUERY, RESULT = 0, 1, 2, 7, 8
ROWS = 2
ONE = 1
# Types without parameters: numbers, text, time and addresses, from ascii to smallint.
PLAIN = range(0x01, 0x15)


def ask(host, port, statement, timeout=5):
    """The rows that a node answers with, each value as bytes or nothing."""
    with socket.create_connection((host, port), timeout) as line:
        stream = line.makefile("rwb")
        opcode, body = exchange(stream, STARTUP, struct.pack(">H", 1) + short_text("CQL_VERSION") + short_text("3.0.0"))
        if opcode != READY:
            raise NotYet(said(opcode, body))
        query = statement.encode()
        opcode, body = exchange(stream, QUERY, struct.pack(">i", len(query)) + query + struct.pack(">HB", ONE, 0))
        if opcode != RESULT:
            raise NotYet(said(opcode, body))
        return rows(body)


def exchange(stream, opcode, body):
    stream.write(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
    stream.flush()
    _version, _flags, _stream, answer, length = struct.unpack(">BBhBi", whole(stream, 9))
    return answer, whole(stream, length)


def whole(stream, length):
    got = stream.read(length)
    if len(got) < length:
        raise NotYet("it closed the connection")
    return got


def said(opcode, body):
    if opcode != ERROR:
        return f"it answered with opcode {opcode}"
    (length,) = struct.unpack_from(">H", body, 4)
    return body[6 : 6 + length].decode(errors="replace")


def rows(body):
    """The values of a result of rows."""
    reader = Reader(body)
    if reader.int() != ROWS:
        return []
    flags, columns = reader.int(), reader.int()
    if flags & 2:
        raise NotYet("the answer has pages")
    if flags & 1:
        reader.text(), reader.text()
    for _ in range(columns):
        if not flags & 1:
            reader.text(), reader.text()
        name, kind = reader.text(), reader.short()
        if kind not in PLAIN:
            raise NotYet(f"column {name} is of type {kind:#x}")
    return [[reader.bytes() for _ in range(columns)] for _ in range(reader.int())]


class Reader:
    """Reads a body from its beginning on."""

    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, length):
        self.at += length
        return self.body[self.at - length : self.at]

    def int(self):
        return struct.unpack(">i", self.take(4))[0]

    def short(self):
        return struct.unpack(">H", self.take(2))[0]

    def text(self):
        return self.take(self.short()).decode()

    def bytes(self):
        length = self.int()
        return None if length < 0 else self.take(length)


def short_text(text):
    return struct.pack(">H", len(text)) + text.encode()
