"""The generator: a tiny description gives the goldens, a wrong one gives file, line and reason.

After a wanted change: python3 tests/api/test_generator.py --accept"""

import json
import os
import shutil
import sys
import unittest
from pathlib import Path

from support import API, TINY, generate, generated, scratch

DESCRIPTION, EXPECTED = TINY / "description", TINY / "expected"


def printed(folder: Path) -> dict:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in files}


class Goldens(unittest.TestCase):
    maxDiff = None

    def test_a_tiny_description_gives_the_goldens(self):
        out = scratch()
        self.assertEqual(generate(DESCRIPTION, out).stderr, "")
        golden = {name.removesuffix(".golden"): text for name, text in printed(EXPECTED).items()}
        found = printed(out)
        self.assertEqual(sorted(found), sorted(golden))
        for name, text in golden.items():
            self.assertEqual(found[name], text, name)

    def test_the_same_description_gives_the_same_bytes(self):
        again = scratch()
        for seed in ("1", "4711"):
            generate(API, again, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=again)
            self.assertEqual(printed(again), printed(generated()))

    def test_all_that_is_printed_says_from_what_and_by_what(self):
        for name, text in printed(generated()).items():
            self.assertIn("Printed by core/api/generate.py from the description of the Stripe API 2026-10-28.endive",
                          text[:200], name)

    def test_nothing_is_left_beside_the_scripts(self):
        generate(API, scratch(), env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"})
        self.assertEqual([path for path in API.rglob("*") if path.suffix == ".pyc"], [])


PETS, ZOO = "resources/pets.json", "resources/v2.zoo.pets.json"
NO_TYPE = ('a type is a map whose "type" is one of any, int, number, timestamp, decimal, int64, file, string, bool, '
           "enum, object, array, list, map, range, ref, refs, expandable, union")
# What is wrong: the file, what stands there, what is put in its place (None: no file), the line and the reason.
WRONG = (
    (PETS, '"path": "/v1/pets",', '"path": "/v1/pets"', 6, "not JSON: Expecting ',' delimiter"),
    (PETS, '"method": "POST",', '"method": "PATCH",', 4, '"PATCH" is not "GET" or "POST" or "DELETE"'),
    (PETS, '"encoding": "form"', '"encodings": "form"', 6,
     'an operation has no "encodings", but alias_of, alt_paths, base, deprecated, encoding, kind, last_api_version, '
     "last_package_version, method, note, origin, params, params_required, path, returns, status, stripe_version, "
     "throws, version_header_suffix"),
    (PETS, '"pets.delete": {\n      "method": "DELETE",\n', '"pets.delete": {\n', 26,
     'an operation lacks "method"'),
    (PETS, '"city": {"type": "string"}', '"City": {"type": "string"}', 16,
     '"City" is not a name (a-z, 0-9, _)'),
    (PETS, '"end": {"type": "timestamp", "emptyable": true}', '"end": {"type": "time"}', 14, NO_TYPE),
    (PETS, '"timestamp", "emptyable": true', '"timestamp", "nullable": true', 14,
     'timestamp here has no "nullable", but deprecated, emptyable, required, type'),
    (PETS, '"required": true},\n', '"required": "yes"},\n', 22, '"yes" is not true'),
    (PETS, '"values": ["now"]', '"values": ["now", "now"]', 12, '"now" stands in this list twice'),
    (PETS, '"values": ["now"]', '"values": []', 12, "an enum without words"),
    (PETS, '"values": ["now"]', '"values": ["n\\u00f6w"]', 12, '"n\\u00f6w" is not text in printable ASCII'),
    (PETS, '{"type": "ref", "ref": "pet"}', '{"type": "ref", "ref": "cat"}', 103, "there is no object cat"),
    (PETS, '"omit": ["id"]', '"omit": ["ids"]', 84, "pet has no field ids"),
    (PETS, '"pets.unborn"', '"pets.list"', 80, '"pets.list" stands here twice'),
    (PETS, '"/v1/pets/unborn"', '"/v1/pets/{unborn}"', 80,
     "pets.unborn and pets.retrieve are both GET /v1/pets/{}"),
    (PETS, '"pets.unborn"', '"pets_create"', 80,
     "pets_create is no name of an operation, service.name, apart from all services"),
    (PETS, '"pets.unborn"', '"pets.toys_upload"', 80,
     "pets.toys_upload and pets.toys.upload are both PS_PETS_TOYS_UPLOAD"),
    (PETS, '"pets.unborn"', '"pets.toys"', 80,
     "pets.toys is no name of an operation, service.name, apart from all services"),
    (PETS, '"alias_of": "pets.delete"', '"alias_of": "pets.retrieve"', 48,
     "there is no operation pets.retrieve that is DELETE /v1/pets/{}"),
    (PETS, '"base": "files",\n      "kind"', '"base": "web",\n      "kind"', 64, "there is no base web"),
    (PETS, '"path": "/v1/pets/unborn"', '"path": "/v1/pets/{un born}"', 82,
     '"/v1/pets/{un born}" is not a path (/v1/name/{id})'),
    (ZOO, '{"kind": "none"}', '{"kind": "none", "of": [{"ref": "pet"}]}', 8,
     'returns of kind none have no "of"'),
    (ZOO, '{"kind": "none"}', '{"kind": "object"}', 8, 'returns of kind object lack "of"'),
    (ZOO, '"v2.zoo.pets.feed"', '"pets.create"', 3,
     "pets.create stands in resources/pets.json, too"),
    ("events.json", '"v1.pet.born"', '"pet.born"', 6, "pet.born is an event of v1, too"),
    ("events.json", '{"of": ["pet"]}', '{"of": ["cat"]}', 3, "there is no object cat"),
    ("errors.json", '"api_error"]', "7]", 2, "7 is not a name (a-z, 0-9, _)"),
    ("errors.json", '"codes"', '"code"', 4,
     'errors.json has no "code", but codes, fields, oauth_classes, object_types, types, v2_classes'),
    ("api.json", '  "version": "2026-01-01.tiny",\n', "", 1, 'api.json lacks "version"'),
    ("api.json", None, None, 1, "no such file"),
    ("overrides.json", '"was": {"type": "number"}', '"was": {"type": "int"}', 8,
     "pet does not have at fields.weight what this corrects"),
    ("overrides.json", '"at": "params.age"', '"at": "params.home.rooms"', 6,
     'object here has no "rooms", but deprecated, emptyable, fields, required, type'),
    ("overrides.json", '"reason": "the facts had no age",\n', "", 2, 'an override lacks "reason"'),
    ("overrides.json", '"operation": "pets.create"', '"operation": "pets.make"', 4, "there is no operation pets.make"),
    ("overrides.json", '"set": {"type": "int"}', '"set": {"type": "integer"}', 6, NO_TYPE),
    ("overrides.json", '"operation": "pets.create"', '"operation": "pets.create", "object": "pet"', 2,
     "an override has an operation or an object, and was, set or both"),
)


class Wrong(unittest.TestCase):
    def fails(self, file: str, old: str, new: str) -> str:
        folder = scratch() / "tiny" / "description"
        shutil.copytree(DESCRIPTION, folder)
        path = folder / file
        if old is None:
            path.unlink()
        else:
            text = path.read_text("utf-8")
            self.assertIn(old, text)
            path.write_text(text.replace(old, new, 1), "utf-8")
        out = folder.parent / "out"
        done = generate(folder, out)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertFalse(out.exists(), "something was printed")
        self.assertEqual(done.stdout, "")
        return done.stderr

    def test_each_mistake_is_named_with_its_place(self):
        for file, old, new, line, reason in WRONG:
            with self.subTest(reason or new):
                self.assertEqual(self.fails(file, old, new), f"{file}:{line}: {reason}\n")

    def test_bytes_that_are_no_text_are_named(self):
        folder = scratch() / "tiny"
        shutil.copytree(DESCRIPTION, folder)
        (folder / "events.json").write_bytes(b'{\n  "v1": {},\n  "v2\xff": {}\n}\n')
        self.assertEqual(generate(folder, folder / "out").stderr, "events.json:3: not UTF-8\n")

    def test_more_than_16_bits_can_count_is_refused(self):
        for least, most, what in ((65_000, 0, None), (65_536, 0, "list members"), (30_000, 40_000, "strings")):
            folder = scratch() / "tiny"
            shutil.copytree(DESCRIPTION, folder)
            path = folder / "resources" / "pets.json"
            facts = json.loads(path.read_text("utf-8"))
            facts["operations"]["pets.create"]["params"]["species"]["values"] = [f"w{i}" for i in range(least)]
            facts["operations"]["pets.list"]["params"].update({f"f{i}": {"type": "int"} for i in range(most)})
            path.write_text(json.dumps(facts), "utf-8")
            expected = f"more than 65,535 {what}: 16 bits cannot count them\n" if what else ""
            self.assertEqual(generate(folder, folder / "out").stderr, expected)


def accept() -> None:
    out = scratch()
    print(generate(DESCRIPTION, out).stderr, end="")
    shutil.rmtree(EXPECTED)
    for name, text in printed(out).items():
        (EXPECTED / f"{name}.golden").parent.mkdir(parents=True, exist_ok=True)
        (EXPECTED / f"{name}.golden").write_text(text, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--accept"]:
        accept()
    else:
        unittest.main()
