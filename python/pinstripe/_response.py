"""What came with a reply: status, headers, body."""


class Headers(dict):
    """Names in lower case; a look-up may use any. One that came twice has its values joined by commas."""

    __slots__ = ()

    @classmethod
    def of(cls, reply):
        found = cls()
        for name, value in reply.headers:
            name = name.lower()
            found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)

    def __contains__(self, name):
        return super().__contains__(name.lower())


class StripeResponseBase:
    def __init__(self, code, headers):
        self.code = code
        self.headers = headers

    @property
    def idempotency_key(self):
        return self.headers.get("idempotency-key")

    @property
    def request_id(self):
        return self.headers.get("request-id")


class StripeResponse(StripeResponseBase):
    def __init__(self, body, code, headers):
        super().__init__(code, headers)
        self.body = body

    @classmethod
    def of(cls, reply):
        return cls(reply.body.decode("utf-8", "replace"), reply.status, Headers.of(reply))

    @property
    def data(self):
        import json

        return json.loads(self.body) if self.body else None


class StripeStreamResponse(StripeResponseBase):
    """A file's content: `io` reads it."""

    def __init__(self, io, code, headers):
        super().__init__(code, headers)
        self.io = io

    @classmethod
    def of(cls, reply):
        from io import BytesIO

        return cls(BytesIO(reply.body), reply.status, Headers.of(reply))

    def read(self):
        return self.io.read()


class StripeStreamResponseAsync(StripeResponseBase):
    def __init__(self, body, code, headers):
        super().__init__(code, headers)
        self._body = body

    @classmethod
    def of(cls, reply):
        return cls(reply.body, reply.status, Headers.of(reply))

    async def stream(self):
        for at in range(0, len(self._body), PIECE):
            yield self._body[at : at + PIECE]

    async def read_async(self):
        return self._body


PIECE = 65536
