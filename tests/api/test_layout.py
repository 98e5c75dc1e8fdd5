"""The layout of the description: importing the facts that it holds gives the same bytes."""

import json
import re
import sys
import unittest

from support import API, checked, run, scratch


def facts_of_the_tree() -> dict:
    """The facts in the shape that import.py takes, made from the tree without its help."""
    api, errors, events = (json.loads((API / f"{n}.json").read_text("utf-8")) for n in ("api", "errors", "events"))
    classes = {"generateV2Error": errors.pop("v2_classes"), "generateOAuthError": errors.pop("oauth_classes")}
    facts = {"api_version": api["version"], "source": api["source"], "bases": api["bases"], "operations": [],
             "objects": {}, "deleted_objects": {}, "url_builders": [], "events": {"v1": [], "v2": []},
             "errors": {**errors, "classes_by_type": classes}}
    for kind, key in (("v1", "object"), ("v2", "related_object")):
        for event_type, event in events[kind].items():
            about = event.pop("of", None)
            said = {} if about is None else {key: about[0] if len(about) == 1 else about}
            facts["events"][kind].append({"type": event_type, **said, **event})
    for path in sorted(API.glob("resources/*.json")):
        resource = json.loads(path.read_text("utf-8"))
        facts["operations"] += [whole_operation(*pair) for pair in resource.get("operations", {}).items()]
        facts["url_builders"] += [{"id": key, **value} for key, value in resource.get("url_builders", {}).items()]
        for name, entry in resource.get("objects", {}).items():
            if "deleted" in entry:
                facts["deleted_objects"][name] = entry.pop("deleted")
            facts["objects"][name] = entry
    return facts


def whole_operation(op_id: str, op: dict) -> dict:
    service, name = op_id.rsplit(".", 1)
    return {"id": op_id, "service": service, "name": name, "path_params": re.findall(r"{(.*?)}", op["path"]),
            "version": "v2" if op["path"].startswith("/v2/") else "v1", "base": "api", "kind": "plain",
            "params_required": False, **op}


class Layout(unittest.TestCase):
    def imported(self, *facts: dict) -> dict:
        folder = scratch()
        paths = [folder / f"{i}.json" for i in range(len(facts))]
        for path, content in zip(paths, facts):
            path.write_text(json.dumps(content), "utf-8")
        checked(sys.executable, API / "import.py", *paths, "--api", folder / "api")
        return {str(path.relative_to(folder / "api")): path.read_bytes() for path in (folder / "api").rglob("*.json")}

    def tree(self) -> dict:
        paths = [path for path in API.rglob("*.json") if path.name != "overrides.json"]
        return {str(path.relative_to(API)): path.read_bytes() for path in paths}

    def assert_is_the_tree(self, found: dict) -> None:
        tree = self.tree()
        self.assertEqual(sorted(found), sorted(tree))
        for name, text in tree.items():
            self.assertTrue(found[name] == text, f"{name} differs from what import.py writes")

    def test_importing_gives_the_tree(self):
        self.assert_is_the_tree(self.imported(facts_of_the_tree()))

    def test_the_order_of_the_facts_and_their_files_do_not_matter(self):
        facts = facts_of_the_tree()
        more = {"operations": facts["operations"][::-2], "objects": {}, "deleted_objects": {}, "events": {"v1": []}}
        facts["operations"] = facts["operations"][-2::-2]
        for key in ("objects", "deleted_objects"):
            facts[key] = dict(reversed(facts[key].items()))
        facts["events"]["v2"].reverse()
        self.assert_is_the_tree(self.imported(facts, more))

    def test_a_resource_that_is_gone_leaves_no_file(self):
        folder = scratch()
        (folder / "resources").mkdir()
        (folder / "resources" / "gone.json").write_text("{}", "utf-8")
        (folder / "overrides.json").write_text("[]", "utf-8")
        (folder / "facts").write_text(json.dumps(facts_of_the_tree()), "utf-8")
        checked(sys.executable, API / "import.py", folder / "facts", "--api", folder)
        self.assertFalse((folder / "resources" / "gone.json").exists())
        self.assertEqual((folder / "overrides.json").read_text("utf-8"), "[]")

    def test_a_fact_that_the_layout_does_not_know_is_refused(self):
        for change, said in (({"colour": "red"}, "this layout knows no 'colour'"),
                             ({"service": "pets"}, "service is 'pets'")):
            facts = facts_of_the_tree()
            facts["operations"][0].update(change)
            path = scratch() / "facts.json"
            path.write_text(json.dumps(facts), "utf-8")
            done = run(sys.executable, API / "import.py", path, "--api", path.parent / "api")
            self.assertEqual(done.returncode, 1)
            self.assertIn(said, done.stderr)
            self.assertFalse((path.parent / "api").exists(), "something was written")

    def test_one_line_is_one_fact(self):
        names = re.compile(r'"(fields|params|data)": {"(?!type")')
        for name, text in self.tree().items():
            for line in text.decode().splitlines():
                self.assertIsNone(names.search(line), f"{name}: two facts on one line: {line.strip()}")

    def test_operations_stand_in_the_file_of_their_resource(self):
        for path in sorted(API.glob("resources/*.json")):
            resource = json.loads(path.read_text("utf-8"))
            for op_id in resource.get("operations", {}):
                self.assertTrue(op_id.startswith(f"{path.stem}."), f"{op_id} in {path.name}")


if __name__ == "__main__":
    unittest.main()
