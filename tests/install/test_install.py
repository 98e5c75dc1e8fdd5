"""What `make install` and `make dist` leave is what strangers build against: hosts, symbols, the header alone, the Lua
side, the rock.

The tree is installed into a scratch folder and moved before use, so that nothing in it may hold a path."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(os.environ["PS_SOURCE_DIR"])
BUILD = Path(os.environ["PS_BUILD_DIR"])
HERE = SOURCE / "tests/install"
PATH = os.environ["PATH"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
VERSION = re.search(r'#define PS_VERSION "(.*)"', (SOURCE / "core/pinstripe.h").read_text()).group(1)
SAID = f"{VERSION} connection not_sent\n"


def run(*command: object, **environment: object) -> str:
    """What a command prints; a command that fails fails the test, with all that it said."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def symbols(path: Path, *options: str) -> set:
    return {line.split()[-1].split("@")[0] for line in run("nm", "--defined-only", *options, path).splitlines() if line}


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.scratch = Path(tempfile.mkdtemp(prefix="pinstripe-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.scratch)
        run("cmake", "--install", BUILD, "--prefix", cls.scratch / "first")
        cls.prefix = (cls.scratch / "first").rename(cls.scratch / "moved")
        cls.lib = next(cls.prefix.rglob("libpinstripe.a")).parent
        cls.include = cls.prefix / "include/pinstripe"

    def flags(self, package: str, *options: str) -> list:
        return run("pkg-config", *options, "--cflags", "--libs", package, PKG_CONFIG_PATH=self.pc_dir()).split()

    def pc_dir(self) -> Path:
        return self.lib / "pkgconfig"

    def compile(self, name: str, source: Path, flags: list) -> Path:
        program = self.scratch / name
        run("cc", "-std=c11", *WARNINGS, source, "-o", program, *flags)
        return program


class Hosts(Installed):
    def test_shared_by_pkg_config(self) -> None:
        program = self.compile("shared", HERE / "host.c", self.flags("pinstripe"))
        self.assertEqual(run(program, LD_LIBRARY_PATH=self.lib), SAID)
        self.assertIn("libpinstripe.so.0", run("readelf", "-d", program))

    def test_static_by_pkg_config(self) -> None:
        program = self.compile("static", HERE / "host.c", self.flags("pinstripe-static"))
        self.assertEqual(run(program), SAID)
        self.assertNotIn("libpinstripe", run("readelf", "-d", program))

    def test_both_by_find_package(self) -> None:
        build = self.scratch / "project"
        run("cmake", "-S", HERE / "project", "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", build)
        self.assertEqual(run(build / "host_shared"), SAID)
        self.assertEqual(run(build / "host_static"), SAID)
        self.assertIn("libpinstripe.so.0", run("readelf", "-d", build / "host_shared"))
        self.assertNotIn("libpinstripe", run("readelf", "-d", build / "host_static"))


class Header(Installed):
    def check(self, compiler: str, language: str, standard: str) -> None:
        if not shutil.which(compiler):
            self.skipTest(f"no {compiler} here")
        source = self.scratch / f"alone.{language}"
        source.write_text("#include <pinstripe.h>\n")
        run(compiler, f"-std={standard}", *WARNINGS, "-fsyntax-only", "-I", self.include, source)

    def test_alone_as_c11(self) -> None:
        self.check("gcc", "c", "c11")

    def test_alone_as_cpp17(self) -> None:
        self.check("g++", "cpp", "c++17")

    def test_alone_as_c11_with_clang(self) -> None:
        self.check("clang", "c", "c11")

    def test_alone_as_cpp17_with_clang(self) -> None:
        self.check("clang++", "cpp", "c++17")


class Symbols(Installed):
    def declared(self) -> set:
        """The functions of the header, as the compiler sees them."""
        text = run("cc", "-E", "-P", "-DPS_API=PS_API", "-I", self.include, self.include / "pinstripe.h")
        return set(re.findall(r"PS_API [^;(]*?\b(\w+)\(", text))

    def test_shared_library_exports_the_header(self) -> None:
        declared = self.declared()
        self.assertGreater(len(declared), 100)
        self.assertEqual(symbols(self.lib / "libpinstripe.so", "-D"), declared)

    def test_static_library_stays_in_its_name_space(self) -> None:
        names = symbols(self.lib / "libpinstripe.a", "-g")
        self.assertEqual([n for n in names if not n.startswith("ps_") and not n.endswith((".o", ".o:"))], [])

    def test_lua_libraries_export_their_header(self) -> None:
        libraries = list(self.lib.glob("libpinstripe-lua*.so"))
        self.assertTrue(libraries)
        for library in libraries:
            self.assertEqual(symbols(library, "-D"), {"luaopen_pinstripe_core", "ps_lua_push_client"}, library)

    def test_lua_modules_export_their_opener(self) -> None:
        modules = list((self.prefix / "lib/lua").rglob("*.so"))
        self.assertTrue(modules)
        for module in modules:
            self.assertEqual(symbols(module, "-D"), {"luaopen_pinstripe_core"}, module)
            self.assertIn("NODELETE", run("readelf", "-d", module))
            self.assertNotIn("libpinstripe", run("readelf", "-d", module))


class Lua(Installed):
    def test_a_host_lends_its_client(self) -> None:
        package = "pinstripe-lua5.4"
        if not (self.pc_dir() / f"{package}.pc").exists():
            self.skipTest("no headers of Lua 5.4 here")
        program = self.compile("lua_host", SOURCE / "examples/c/lua_host.c", self.flags(package))
        script = self.scratch / "script.lua"
        script.write_text("local _, e = stripe.customers:create({}, { max_retries = 0 }) print(e.kind, e.outcome)")
        share = self.prefix / "share/lua/5.4"
        said = run(
            program,
            script,
            LD_LIBRARY_PATH=self.lib,
            LUA_PATH=f"{share}/?.lua;{share}/?/init.lua",
            LUA_CPATH="/nowhere/?.so",
            STRIPE_API_KEY="sk_test_123",
            PINSTRIPE_API_BASE="http://127.0.0.1:1",
        )
        self.assertEqual(said, "connection\tnot_sent\n1 requests were made\n")

    def test_every_lua_loads_the_installed_package(self) -> None:
        for folder in sorted((self.prefix / "lib/lua").iterdir()):
            lua = f"lua{folder.name}"
            if not shutil.which(lua):
                continue
            share = self.prefix / "share/lua" / folder.name
            said = run(
                lua,
                "-e",
                "io.write(require('pinstripe').version)",
                LUA_PATH=f"{share}/?.lua;{share}/?/init.lua",
                LUA_CPATH=f"{folder}/?.so",
            )
            self.assertEqual(said, VERSION, lua)


class Sandbox(Installed):
    def setUp(self) -> None:
        if not (self.pc_dir() / "pinstripe-sandbox.pc").exists():
            self.skipTest("no sandbox is built here")

    def test_a_host_in_c(self) -> None:
        flags = self.flags("pinstripe") + self.flags("pinstripe-sandbox")
        program = self.compile("sandbox", SOURCE / "examples/c/sandbox.c", flags)
        self.assertIn("2 payments succeeded in all", run(program, LD_LIBRARY_PATH=self.lib))

    def test_its_header_alone(self) -> None:
        for compiler, language, standard in (("gcc", "c", "c11"), ("g++", "cpp", "c++17")):
            source = self.scratch / f"sandbox_alone.{language}"
            source.write_text(
                "#include <pinstripe_sandbox.h>\n"
                "int main() { ps_sandbox_options options = PS_SANDBOX_OPTIONS_INIT; return (int)options.port + 1; }\n"
            )
            run(compiler, f"-std={standard}", *WARNINGS, "-fsyntax-only", "-I", self.include, source)

    def test_the_library_exports_its_header(self) -> None:
        library, header = self.lib / "libpinstripe-sandbox.so", (self.include / "pinstripe_sandbox.h").read_text()
        self.assertEqual(symbols(library, "-D"), set(re.findall(r"^PS_SANDBOX_API .*?\b(ps_\w+)\(", header, re.M)))
        undefined = run("nm", "-D", "--undefined-only", library)
        self.assertNotRegex(undefined, r"\blua")  # a host's own Lua would take the place of what is inside
        facts = run("readelf", "-d", library)
        self.assertIn("NODELETE", facts)
        for other in ("libpinstripe.", "liblua", "libcurl", "libcrypto"):
            self.assertNotIn(other, facts)

    def test_every_lua_finds_it(self) -> None:
        for folder in sorted((self.prefix / "lib/lua").iterdir()):
            lua = f"lua{folder.name}"
            if not shutil.which(lua):
                continue
            share = self.prefix / "share/lua" / folder.name
            said = run(
                lua,
                "-e",
                "local s = require('pinstripe').sandbox() io.write(s:client().customers:create({ name = 'J' }).name)",
                LUA_PATH=f"{share}/?.lua;{share}/?/init.lua",
                LUA_CPATH=f"{folder}/?.so",
            )
            self.assertEqual(said, "J", lua)

    def test_the_command(self) -> None:
        self.assertIn("usage: pinstripe sandbox", run(self.prefix / "bin/pinstripe", "--help"))


class Archive(unittest.TestCase):
    """`make dist` carries what is generated; from there the rock builds with a Python that only fails."""

    def setUp(self) -> None:
        inside = subprocess.run(["git", "-C", SOURCE, "rev-parse"], stderr=subprocess.DEVNULL, check=False)
        if inside.returncode or not shutil.which("luarocks"):
            self.skipTest("needs luarocks and a git checkout")
        folder = tempfile.TemporaryDirectory(prefix="pinstripe-dist-")
        self.addCleanup(folder.cleanup)
        self.scratch = Path(folder.name)

    def make_archive(self) -> Path:
        run(SOURCE / "tests/tools/dist", BUILD, "pinstripe-test")
        return BUILD / "dist/pinstripe-test.tar.gz"

    def test_the_same_tree_gives_the_same_bytes(self) -> None:
        self.assertEqual(self.make_archive().read_bytes(), self.make_archive().read_bytes())

    def test_the_rock_builds_without_python(self) -> None:
        run("tar", "-xzf", self.make_archive(), "-C", self.scratch)
        python = self.scratch / "bin/python3"
        python.parent.mkdir()
        python.write_text("#!/bin/sh\nexit 1\n")
        python.chmod(0o755)
        tree, top = self.scratch / "tree", self.scratch / "pinstripe-test"
        run("sh", "-c", f"cd {top} && luarocks --lua-version 5.4 --tree {tree} make", PATH=f"{python.parent}:{PATH}")
        load = "local p = require('pinstripe') io.write(p.version, p.sandbox():client().customers:create().object)"
        share = tree / "share/lua/5.4"
        environment = {"LUA_PATH": f"{share}/?.lua;{share}/?/init.lua", "LUA_CPATH": f"{tree}/lib/lua/5.4/?.so"}
        self.assertEqual(run("lua5.4", "-e", load, **environment), f"{VERSION}customer")


if __name__ == "__main__":
    unittest.main()
