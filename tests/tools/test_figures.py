import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import figures

C = """/* int commented(void) {
} */
#define SQUARE(x) ((x) * (x))
static const int table[] = {
  1,
};

struct shape {
  int (*draw)(void);
};

static int two_lines_of_head(int a,
                             int b) {
  if (a) { return '{'; }
  return b;
}

const char *text(void) {
  return "} {";
}
"""
LUA = """local function short() return 1 end
function M.long(a)
  local inner = function()
    return a
  end
  return inner
end
"""


class Figures(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def failures(self) -> list:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
            status = figures.main(["figures", str(self.root)])
        found = said.getvalue().splitlines()
        self.assertEqual(status, 1 if found else 0)
        return found

    def test_c_functions_are_found_and_measured(self) -> None:
        found = list(figures.c_functions(self.write("core/a.c", C)))
        self.assertEqual([(f.name, f.line, f.length) for f in found], [("two_lines_of_head", 12, 5), ("text", 18, 3)])

    def test_lua_functions_are_found_and_measured(self) -> None:
        found = list(figures.lua_functions(self.write("lua/a.lua", LUA)))
        self.assertEqual([(f.name, f.length) for f in found], [("short", 1), ("M.long", 6)])

    def test_a_long_function_is_named(self) -> None:
        self.write("core/buf.c", "int f(void) {\n" + "  g();\n" * 59 + "}\n" + "int g(void) {\n}\n" * 20)
        self.assertIn("f has 61 lines, over 60", self.failures()[0])

    def test_too_many_lines(self) -> None:
        self.write("core/buf.c", "/* a comment\n   of two lines */\n\nint f(void) {\n}\n" + "int a;\n" * 5249)
        self.write("core/buf.h", "int a;\n")
        self.assertEqual(self.failures(), ["the C sources of core have 5251 lines of code, over 5250"])

    def test_an_include_of_what_stands_above(self) -> None:
        self.write("core/error.c", '#include "error.h"\n#include "arena.h"\nint f(void) {\n}\n')
        self.write("core/buf.h", '#include "value.h"\n')
        self.assertEqual(len(self.failures()), 1)
        self.assertIn('buf.h: includes "value.h"', self.failures()[0])

    def test_only_json_knows_yajl(self) -> None:
        self.write("core/json.c", "#include <yajl/yajl_parse.h>\nint f(void) {\n}\n")
        self.assertEqual(self.failures(), [])
        self.write("core/form.c", "#include <yajl/yajl_parse.h>\n")
        self.assertIn("which only json.c knows", self.failures()[0])

    def test_a_file_that_the_design_does_not_know(self) -> None:
        self.write("core/extra.c", "int f(void) {\n}\n")
        self.assertIn("not in the order", self.failures()[0])


if __name__ == "__main__":
    unittest.main()
