"""Uploads from readers and downloads to elsewhere, against sockets that are cut, and through a transport."""

import asyncio
import io
import os
import pathlib
import shutil
import tempfile
import unittest
from functools import partial

import pinstripe
from support import KEY, Server, Stage, has_sandbox

PURPOSE = "dispute_evidence"
EVIDENCE = b"hello, this is evidence; " * 40000
OOPS = {"status": 500, "body": {"error": {"message": "oops"}}}


class Pipe:
    """A source that cannot be rewound, and gives `step` bytes at a time."""

    def __init__(self, data, step=70000):
        self.data, self.step, self.reads = io.BytesIO(data), step, 0

    def read(self, size=-1):
        self.reads += size > 0
        return self.data.read(min(size, self.step))


class Uploads(unittest.TestCase):
    def start(self, script=(), **options):
        server = Server(script)
        self.addCleanup(server.close)
        return server.client(**options)

    def create(self, client, file, **options):
        return client.v1.files.create({"purpose": PURPOSE, "file": file}, options)

    def assert_received(self, found, data):
        self.assertIn(f"\r\n\r\n{data.decode()}\r\n--", found.body)

    def test_every_source(self):
        client = self.start()
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = pathlib.Path(folder) / "receipt.pdf"
        path.write_bytes(EVIDENCE)
        pieces = iter([b"a", "å", bytearray(b"b"), b""])
        with open(path, "rb") as disk, open(path, encoding="utf-8") as text:
            for file, data, name, length in [
                (disk, EVIDENCE, "receipt.pdf", True),
                (text, EVIDENCE, "receipt.pdf", True),
                (path, EVIDENCE, "receipt.pdf", True),
                (io.BytesIO(EVIDENCE), EVIDENCE, "blob", True),
                (io.StringIO("åé" * 100), ("åé" * 100).encode(), "blob", True),
                (memoryview(EVIDENCE), EVIDENCE, "blob", True),
                (Pipe(EVIDENCE), EVIDENCE, "blob", False),
                (lambda: next(pieces), "aåb".encode(), "blob", False),
                ({"reader": Pipe(b"abc").read, "length": 3, "filename": "a.txt"}, None, "a.txt", True),
                ({"content": b"abc", "filename": "b.txt"}, b"abc", "b.txt", True),
                ({"path": str(path), "filename": "c.txt"}, EVIDENCE, "c.txt", True),
            ]:
                with self.subTest(file=file):
                    if data is None:
                        file, data = {**file, "reader": partial(Pipe(b"abc").read, 2)}, b"abc"
                    found = self.create(client, file)
                    self.assert_received(found, data)
                    self.assertIn(f'filename="{name}"', found.body)
                    self.assertEqual(found.headers.get("transfer-encoding"), None if length else "chunked")

    def test_type_and_other_params(self):
        params = {
            "purpose": PURPOSE,
            "file": {"reader": Pipe(b"abc"), "type": "text/plain"},
            "file_link_data": {"create": True},
        }
        body = self.start().v1.files.create(params).body
        self.assertIn("Content-Type: text/plain", body)
        self.assertIn('name="file_link_data[create]"\r\n\r\ntrue', body)
        self.assertIsInstance(params["file"]["reader"], Pipe)

    def test_from_where_it_stands_and_again_from_there(self):
        file = io.BytesIO(b"12345" + EVIDENCE)
        file.seek(5)
        seen = []
        found = self.create(self.start([OOPS, OOPS]), file, progress=lambda *at: seen.append(at))
        self.assert_received(found, EVIDENCE)
        self.assertEqual(seen[-1][0], seen[-1][1])
        self.assertGreater(seen[-1][1], len(EVIDENCE))

    def test_a_source_without_a_way_back_is_sent_once(self):
        with self.assertRaisesRegex(pinstripe.APIError, "the body cannot be read a second time") as caught:
            self.create(self.start([OOPS]), Pipe(EVIDENCE))
        self.assertEqual(caught.exception.attempts, 1)

    def test_a_rewind_of_ones_own(self):
        pipes = [Pipe(EVIDENCE)]
        file = {"reader": lambda: pipes[-1].read(1000), "rewind": lambda: pipes.append(Pipe(EVIDENCE))}
        self.assert_received(self.create(self.start([OOPS]), file), EVIDENCE)
        self.assertEqual(len(pipes), 2)

    def test_what_a_source_raises_passes_through(self):
        client = self.start()

        def burn():
            raise OSError("disk on fire")

        with self.assertRaisesRegex(OSError, "disk on fire"):
            self.create(client, burn)
        with self.assertRaisesRegex(ValueError, "more than the 2 bytes"):
            self.create(client, {"reader": lambda: b"abc", "length": 2})
        with self.assertRaisesRegex(pinstripe.StripeError, "could not be read to its end"):
            self.create(client, {"reader": lambda: b"", "length": 2})
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            self.create(client, Pipe(EVIDENCE), progress=lambda *_: (_ for _ in ()).throw(ZeroDivisionError("mine")))
        self.assert_received(self.create(client, b"the client goes on"), b"the client goes on")

    def test_a_source_that_times_out_is_no_transport_that_does(self):
        def slow():
            raise TimeoutError("the disk sleeps")

        stage = Stage({"object": "file"})
        with self.assertRaisesRegex(TimeoutError, "the disk sleeps"):
            self.create(stage.client(), slow)
        self.assertEqual(stage.requests, [])

    def test_nothing_is_held_whole(self):
        """A source of 48 MiB that notes how far it is ahead of what was sent."""
        sent, ahead = [0], []

        class Long:
            left = 48 << 20

            def read(self, size=-1):
                n = min(size, self.left)
                self.left -= n
                ahead.append((48 << 20) - self.left - sent[0])
                return b"x" * n

        server = Server([{"body": {"object": "file"}}])
        self.addCleanup(server.close)
        self.create(server.client(), Long(), progress=lambda done, total: sent.__setitem__(0, done))
        self.assertEqual(sent[0] >> 20, 48)
        self.assertLess(max(ahead), 2 << 20)

    def test_asyncio_and_any_path_and_the_global_style(self):
        client = self.start()

        async def create():
            return await client.v1.files.create_async({"purpose": PURPOSE, "file": Pipe(EVIDENCE)})

        self.assert_received(asyncio.run(create()), EVIDENCE)
        data = client.raw_request("post", "/v1/files", purpose=PURPOSE, file=Pipe(b"raw")).data
        self.assertIn("\r\n\r\nraw\r\n--", data["body"])

    def test_a_transport_and_hooks(self):
        stage = Stage((500, {}, "{}"), {"object": "file"})
        seen = []
        client = stage.client(on_request=lambda event: seen.append(event.attempt))
        self.create(client, io.BytesIO(EVIDENCE))
        self.assertEqual(seen, [1, 2])
        self.assertEqual(stage.requests[0].body.count(EVIDENCE), 1)
        self.assertEqual(stage.requests[1].body.count(EVIDENCE), 1)
        found = self.create(self.start(on_response=seen.append), Pipe(EVIDENCE))
        self.assert_received(found, EVIDENCE)

    def test_misuses(self):
        client = Stage().client()
        closed = io.BytesIO()
        closed.close()
        for file, options, error, text in [
            ({"reader": 5}, {}, TypeError, "params.file.reader must be a function or an open file"),
            ({"reader": print, "rewind": 5}, {}, TypeError, "params.file.rewind must be a function"),
            ({"reader": print, "length": "5"}, {}, TypeError, "params.file.length must be a number"),
            ({"reader": print, "length": -5}, {}, TypeError, "params.file.length must be a number"),
            ({"reader": print, "length": True}, {}, TypeError, "params.file.length must be a number"),
            ({"filename": "x"}, {}, pinstripe.InvalidRequestError, "params.file must be"),
            ({"reader": print, "content": b"x"}, {}, TypeError, "params.file takes one of reader, content and path"),
            ({"reader": print, "lenght": 5}, {}, TypeError, r"params.file: \['lenght'\] is none of reader, .*, length"),
            ({"path": "/none/there"}, {}, pinstripe.InvalidRequestError, "params.file.path: cannot read /none/there"),
            (5, {}, TypeError, "params.file must be an open file, .* or a dict, not int"),
            ("receipt.pdf", {}, TypeError, "a pathlib.Path or a dict, not str"),
            (iter([b"x"]), {}, TypeError, "not list_iterator"),
            (closed, {}, ValueError, "closed file"),
            (lambda: 5, {}, TypeError, "must give bytes or str, not int"),
            (b"x", {"progress": 5}, TypeError, "option progress must be a function, not int"),
            (b"x", {"progres": "x"}, pinstripe.InvalidRequestError, "progres is not an option"),
        ]:
            with self.subTest(file=file, options=options), self.assertRaisesRegex(error, text):
                self.create(client, file, **options)
        with self.assertRaisesRegex(TypeError, "bytes and files are sent only where"):
            client.v1.customers.create({"name": b"x"})


def bytes_of_file(size):
    return b"".join(b"%08d" % i for i in range(size // 8 + 1))[:size]


class Downloads(unittest.TestCase):
    def start(self, *script):
        self.server = Server(script)
        self.addCleanup(self.server.close)
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = pathlib.Path(folder) / "quote.pdf"
        return self.server.client()

    async def write_async(self, piece):
        pass

    def test_to_a_path_a_function_or_memory(self):
        client = self.start({"file": [100000, '"a"'], "repeat": True})
        whole, pieces, seen = bytes_of_file(100000), [], []
        self.assertEqual(client.v1.quotes.pdf("qt_1").read(), whole)
        response = client.v1.quotes.pdf("qt_1", options={"save_to": self.path})
        self.assertEqual((response.code, response.read(), self.path.read_bytes()), (200, b"", whole))
        client.v1.quotes.pdf("qt_1", options={"write_to": pieces.append, "progress": lambda *at: seen.append(at)})
        self.assertEqual((b"".join(pieces), seen[-1]), (whole, (100000, 100000)))
        into = io.BytesIO()
        self.assertEqual(client.download("/v1/files/file_1/contents", write_to=into), b"")
        self.assertEqual(into.getvalue(), whole)
        self.assertEqual(asyncio.run(client.download_async("/v1/files/file_1/contents")), whole)
        asyncio.run(client.v1.quotes.pdf_async("qt_1", options={"save_to": str(self.path)}))
        self.assertEqual(os.listdir(self.path.parent), ["quote.pdf"])

    def test_a_cap(self):
        client = self.start({"file": [100000, '"a"'], "repeat": True})
        for call in (
            lambda: client.download("/v1/files/file_1/contents", max_body=99999),
            lambda: client.v1.quotes.pdf("qt_1", options={"max_body": 99999}),
        ):
            with self.assertRaises(pinstripe.APIError) as caught:
                call()
            self.assertEqual(caught.exception.kind, "too_large")

    def test_it_goes_on_where_it_was_cut(self):
        file = {"file": [50000, '"a"']}
        client = self.start({**file, "cut": 20000}, file, {**file, "cut": 10000}, file)
        client.v1.quotes.pdf("qt_1", options={"save_to": self.path})
        self.assertEqual(self.path.read_bytes(), bytes_of_file(50000))
        pieces = []
        client.download("/v1/files/file_1/contents", write_to=pieces.append)
        self.assertEqual(b"".join(pieces), bytes_of_file(50000))
        requests = self.server.requests()
        self.assertEqual(requests[1]["headers"]["range"], "bytes=20000-")
        self.assertEqual(requests[3]["headers"]["range"], "bytes=10000-")

    def test_a_refusal_leaves_what_was_there(self):
        client = self.start({"status": 404, "body": {"error": {"message": "gone", "code": "resource_missing"}}})
        self.path.write_bytes(b"before")
        with self.assertRaises(pinstripe.InvalidRequestError) as caught:
            client.v1.quotes.pdf("qt_x", options={"save_to": self.path})
        self.assertEqual(caught.exception.code, "resource_missing")
        self.assertEqual(self.path.read_bytes(), b"before")

    def test_what_a_writer_raises_passes_through(self):
        client = self.start({"file": [5000000, '"a"'], "repeat": True})

        def full(_):
            raise OSError("disk full")

        with self.assertRaisesRegex(OSError, "disk full"):
            client.v1.quotes.pdf("qt_1", options={"write_to": full})
        self.assertEqual(len(client.v1.quotes.pdf("qt_1").read()), 5000000)

    def test_nothing_is_held_whole(self):
        client = self.start({"size": 48 << 20})
        largest, total = [0], [0]

        def write(piece):
            largest[0], total[0] = max(largest[0], len(piece)), total[0] + len(piece)

        client.download("/v1/files/file_1/contents", write_to=write)
        self.assertEqual(total[0], 48 << 20)
        self.assertLess(largest[0], 3 << 20)

    def test_a_file_that_takes_a_part_of_a_piece(self):
        class Slow(io.RawIOBase):
            taken = b""

            def writable(self):
                return True

            def write(self, piece):
                self.taken += bytes(piece[:30000])
                return min(len(piece), 30000)

        client, slow = self.start({"file": [100000, '"a"']}), Slow()
        client.download("/v1/files/file_1/contents", write_to=slow)
        self.assertEqual(slow.taken, bytes_of_file(100000))

    def test_what_is_raised_passes_through_asyncio(self):
        client = self.start({"file": [5000000, '"a"'], "repeat": True})

        def full(_):
            raise OSError("disk full")

        with self.assertRaisesRegex(OSError, "disk full"):
            asyncio.run(client.download_async("/v1/files/file_1/contents", write_to=full))
        with self.assertRaisesRegex(OSError, "disk full"):
            params = {"purpose": PURPOSE, "file": lambda: full(None)}
            asyncio.run(client.v1.files.create_async(params))

    @unittest.skipUnless(has_sandbox(), "no sandbox is built")
    def test_there_and_back_again(self):
        """With the sandbox: up from a file, its link, down to another."""
        self.start()
        with pinstripe.sandbox(seed=1) as sandbox:
            client, steps = sandbox.client(), []
            params = {
                "purpose": "customer_signature",
                "file": {"reader": io.BytesIO(EVIDENCE), "filename": "receipt.png", "type": "image/png"},
                "file_link_data": {"create": True, "metadata": {"order": "6735"}},
            }
            file = client.v1.files.create(params, {"progress": lambda *at: steps.append(at)})
            self.assertEqual((file.size, file.filename, steps[-1][0]), (len(EVIDENCE), "receipt.png", steps[-1][1]))
            (link,) = client.v1.file_links.list({"file": file.id})
            self.assertEqual(link.metadata.order, "6735")
            self.assertEqual(client.download(link.url, save_to=self.path), b"")
            self.assertEqual(self.path.read_bytes(), EVIDENCE)
            with self.assertRaises(pinstripe.APIError) as caught:
                client.download(file.url, max_body=100)
            self.assertEqual(caught.exception.kind, "too_large")
            client.v1.file_links.update(link.id, {"expires_at": "now"})
            with self.assertRaises(pinstripe.InvalidRequestError):
                client.download(link.url)

    def test_a_links_file_is_asked_for_without_the_key(self):
        client = self.start({"file": [80, '"a"']}, {"file": [80, '"a"']})
        client.download(f"{self.server.base}/v1/files/file_1/contents")
        client.download(f"{self.server.base}/links/abc", save_to=self.path)
        headers = [request["headers"] for request in self.server.requests()]
        self.assertEqual([h.get("authorization") for h in headers], [f"Bearer {KEY}", None])

    def test_a_transport(self):
        pieces = []
        Stage((200, {}, b"abc")).client().download("/v1/files/file_1/contents", write_to=pieces.append)
        self.assertEqual(pieces, [b"abc"])

    def test_an_address_that_is_none(self):
        client = Stage().client()
        for bad in (None, {}, b"", "a\0b", "\ud800"):
            error = ValueError if isinstance(bad, str) else TypeError
            for call in (client.download, lambda url: asyncio.run(client.download_async(url))):
                with self.subTest(bad=bad), self.assertRaisesRegex(error, "^url "):
                    call(bad)

    def test_misuses(self):
        client = self.start()
        for options, error, text in [
            ({"save_to": self.path, "write_to": print}, TypeError, "either write_to or save_to"),
            ({"write_to": "path"}, TypeError, "write_to must be a function, not str"),
            ({"write_to": self.write_async}, TypeError, "nobody would await"),
            ({"stream": True}, TypeError, "the nearest is write_to"),
            ({"save_too": "x"}, pinstripe.InvalidRequestError, "save_too"),
        ]:
            with self.subTest(options=options), self.assertRaisesRegex(error, text):
                client.v1.quotes.pdf("qt_1", options=options)
        for name in ("progress", "write_to"):
            with self.assertRaisesRegex(pinstripe.InvalidRequestError, f"{name} is not an option"):
                client.v1.balance.retrieve(options={name: "x"})


if __name__ == "__main__":
    unittest.main()
