"""The least of HTTP/2 (RFC 9113) that a scripted server needs: one answer, or one failure, for each stream.

Request headers are not decoded, only counted; a response's are an indexed status and literals without indexing."""

import json
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INTERNAL_ERROR, REFUSED_STREAM = 2, 7
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def literal(name, value):
    """A header as HPACK writes it without indexing or Huffman codes (RFC 7541, 6.2.2)."""
    name, value = name.lower().encode(), value.encode()
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection:
    def __init__(self, state, sock, number):
        self.state, self.sock, self.number = state, sock, number
        self.input = sock.makefile("rb")

    def send(self, kind, flags, stream, payload=b""):
        self.sock.sendall(struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload)

    def serve(self):
        if self.input.read(len(PREFACE)) != PREFACE:
            return
        self.send(SETTINGS, 0, 0)
        while self.serve_frame():
            pass

    def serve_frame(self):
        head = self.input.read(9)
        if len(head) < 9:
            return False
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        payload = self.input.read(length)
        if kind == SETTINGS and not flags & ACK:
            self.send(SETTINGS, ACK, 0)
        elif kind == PING and not flags & ACK:
            self.send(PING, ACK, 0, payload)
        elif kind in (HEADERS, DATA) and flags & END_STREAM:
            return self.act(stream)
        return True

    def act(self, stream):
        request = {"method": "HTTP/2", "path": "", "headers": {}, "body": ""}
        _, entry = self.state.receive(self.number, request)
        entry = entry or {}
        failure = entry.get("stream")
        if failure == "goaway":
            self.send(GOAWAY, 0, 0, struct.pack(">II", 0, INTERNAL_ERROR))
            return False
        if failure:
            code = INTERNAL_ERROR if failure == "reset" else REFUSED_STREAM
            self.send(RST_STREAM, 0, stream, struct.pack(">I", code))
            return True
        headers = literal(":status", str(entry.get("status", 200))) + literal("content-type", "application/json")
        self.send(HEADERS, END_HEADERS, stream, headers)
        self.send(DATA, END_STREAM, stream, json.dumps(entry.get("body", {"object": "echo"})).encode())
        return True
