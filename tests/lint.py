# SPDX-License-Identifier: Apache-2.0
"""House rules that a compiler does not check: who may include whom, licence lines, file sizes, format, leftovers, and that the
packages agree with the build.

`python3 tests/lint.py` prints each breach as FILE:LINE: text and fails if there is one. `--self-test` proves that each
rule can fail.
"""
import pathlib
import re
import shutil
import subprocess
import sys

# Who may include whom: directory under src/ -> the others that it may name (docs/architecture.md, "Layers").
MAY_INCLUDE = {
    "base": set(),
    "packet": {"base"},
    "openflow": {"base", "packet"},
    "ovsdb": {"base"},
    "datapath": {"base", "packet"},
    "switch": {"base", "packet", "openflow", "ovsdb", "datapath"},
    "agent": {"base", "packet", "openflow", "ovsdb"},
    "controller": {"base", "packet", "ovsdb"},
    "cli": {"base", "packet", "openflow", "ovsdb"},
}
MAX_LINES = 1000  # the guide is 800; beyond this a file certainly holds two concepts
INCLUDE = re.compile(r'\s*#\s*include\s+"([^"]+)"')


def check_file(path, text):
    """Yields (line number, text) of each breach. PATH is relative to the tree and starts with src/ or tests/."""
    lines = text.splitlines()
    if not lines or "SPDX-License-Identifier:" not in "".join(lines[:2]):
        yield 1, "no SPDX-License-Identifier in the first two lines"
    if not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    owner = path.parts[1] if path.parts[0] == "src" else None
    if owner and path.suffix == ".c" and len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines: split it where the concept splits"
    for number, line in enumerate(lines, 1):
        if line != line.rstrip():
            yield number, "trailing white space"
        found = INCLUDE.match(line)
        if owner and found and "/" in found[1]:
            other = found[1].split("/")[0]
            if other in MAY_INCLUDE and other != owner and other not in MAY_INCLUDE[owner]:
                yield number, f"{owner} must not include {found[1]}"
        if re.search(r"\b(XXX|FIXME|HACK)\b", line):
            yield number, "a leftover marker"


def check_format(root, paths):
    """Yields what clang-format would change, by file; nothing where the tool is missing (CI has it)."""
    tool = shutil.which("clang-format-14")
    if not tool:
        return
    done = subprocess.run([tool, "--dry-run", "-Werror", *map(str, paths)], cwd=root, capture_output=True, text=True)
    yield from sorted({line.split(": error:")[0] for line in done.stderr.splitlines() if ": error:" in line})


def check_packaging(install_deps, control, changelog, meson):
    """Yields (file, text) where what is told in two places differs."""
    wanted = re.search(r'^build="([^"]*)"', install_deps, re.M)[1].split()
    field = re.search(r"^Build-Depends:(.*(?:\n[ \t].*)*)", control, re.M)[1]
    got = [word.split()[0] for word in field.split(",")]
    # Those that build-essential brings must not be named there, and debhelper no build but that one wants.
    differ = (set(wanted) - {"gcc", "libc6-dev", "make"}) ^ (set(got) - {"debhelper-compat"})
    if differ:
        yield "packaging/debian/control", f"Build-Depends is not \"build\" of packaging/install-deps: {' '.join(sorted(differ))}"
    version = re.search(r"^project\(.*? version: '([^']*)'", meson, re.M)[1]
    if not changelog.startswith(f"warren ({version}) "):
        yield "packaging/debian/changelog", f"the first entry is not of version {version}, which meson.build has"


def self_test():
    good = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    cases = [
        ("src/base/a.c", good, 0),
        ("src/base/a.c", "int x;\n", 1),
        ("src/base/a.c", good + '#include "packet/packet.h"\n', 1),
        ("src/packet/a.c", good + '#include "base/util.h"\n', 0),
        ("src/agent/a.c", good + '#include "switch/bridge.h"\n', 1),
        ("src/datapath/ebpf/a.c", good + '#include "openflow/match.h"\n', 1),
        ("src/base/a.c", good + "int x; \n", 1),
        ("src/base/a.c", good + "int x;", 1),
        ("src/base/a.c", good + "int x;\n" * MAX_LINES, 1),
        ("src/base/a.c", good + "/* FIXME */\n", 1),
    ]
    for name, text, want in cases:
        got = list(check_file(pathlib.PurePath(name), text))
        assert len(got) == want, (name, text[:80], got)
    control, changelog = "Build-Depends: debhelper-compat (= 13),\n a (>= 1),\n b\nX: c\n", "warren (1.2) unstable\n"
    for deps, version, want in (("gcc a\n b", "1.2", 0), ("gcc a", "1.2", 1), ("a b c", "1.2", 1), ("a b", "1.3", 1)):
        got = list(check_packaging(f'build="{deps}"\n', control, changelog, f"project('w', 'c', version: '{version}', x: '1')\n"))
        assert len(got) == want, (deps, version, got)


def main():
    self_test()
    if "--self-test" in sys.argv:
        return 0
    root = pathlib.Path(__file__).resolve().parent.parent
    breaches = 0
    paths = sorted(root.glob("src/**/*.[ch]")) + sorted(root.glob("tests/**/*.[ch]"))
    for place in check_format(root, paths):
        print(f"{place}: not as .clang-format has it (clang-format-14 -i)")
        breaches += 1
    texts = ((root / name).read_text() for name in (
        "packaging/install-deps", "packaging/debian/control", "packaging/debian/changelog", "meson.build"))
    for name, text in check_packaging(*texts):
        print(f"{name}: {text}")
        breaches += 1
    for path in paths:
        for number, text in check_file(path.relative_to(root), path.read_text()):
            print(f"{path.relative_to(root)}:{number}: {text}")
            breaches += 1
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
