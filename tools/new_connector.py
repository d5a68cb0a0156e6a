"""
Writes a new connector to begin with: a folder that works against its own sandbox and passes the machine rules of Bronze.

    python tools/new_connector.py orbit                       connectors/orbit and tests/connectors/orbit
    python tools/new_connector.py orbit --title "Orbit CRM"
    python tools/new_connector.py orbit --package ../orbit    an outside package, found by its entry point

It is the connector in `tools/scaffold`, called by its new name. docs/write-a-connector.md goes on from there.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCAFFOLD = Path(__file__).with_name("scaffold")
NAME = re.compile(r"[a-z][a-z0-9_]*")


def main(arguments: list[str] | None = None) -> int:
    """Write the files and say what to do next; exit 2 and nothing written where there is one in the way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what a config calls it: small letters, digits, underscores")
    parser.add_argument("--title", help="the vendor's own name; the name with a capital if left out")
    parser.add_argument("--package", type=Path, metavar="FOLDER", help="write an installable package there instead")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not NAME.fullmatch(options.name) or "__" in options.name or keyword.iskeyword(options.name):
        parser.error(
            f"{options.name!r}: a connector's name is small letters, digits and single underscores, no word of Python's"
        )
    title = options.title or options.name.replace("_", " ").title()
    if not title.isprintable() or set(title) & set('"\\{}'):
        parser.error(f"{title!r}: a title is one line without quotation marks, backslashes and braces")
    package: Path | None = options.package
    written = _package(package, options.name, title) if package else _folder(options.root, options.name, title)
    files = dict(written)
    there = [path for path in files if path.exists()]
    if there:
        parser.error(f"{there[0]} is there already; nothing was written")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    where = package or options.root / "connectors" / options.name
    sys.stdout.write(f"Wrote {len(files)} files. Begin with {where}; docs/write-a-connector.md goes on from there.\n")
    return 0


def _folder(root: Path, name: str, title: str) -> Iterator[tuple[Path, str]]:
    for path in _templates("connector"):
        yield root / "connectors" / name / path.name, _named(path, name, title, f"connectors.{name}")
    for path in _templates("tests"):
        target = path.relative_to(SCAFFOLD / "tests").as_posix().replace("acme", name)
        yield root / "tests" / "connectors" / name / target, _named(path, name, title, f"connectors.{name}")


def _package(folder: Path, name: str, title: str) -> Iterator[tuple[Path, str]]:
    module = f"tagalong_{name}"
    for path in _templates("connector"):
        yield folder / module / path.name, _named(path, name, title, module)
    yield folder / "pyproject.toml", PYPROJECT.format(name=name, title=title, module=module)


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tagalong-{name}"
version = "0.1.0"
description = "{title} for Tagalong"
requires-python = ">=3.11"
dependencies = ["tagalong"]

[project.entry-points."tagalong.connectors"]
{name} = "{module}"
"""


def _templates(part: str) -> list[Path]:
    return sorted(path for path in (SCAFFOLD / part).rglob("*") if path.is_file() and path.suffix != ".pyc")


def _named(path: Path, name: str, title: str, module: str) -> str:
    """Return the file with the stand-in's names replaced."""
    text = path.read_text(encoding="utf-8").replace("connectors.acme", module)
    words = {"AcmeSandbox": f"{''.join(name.title().split('_'))}Sandbox", "Acme": title, "ACME": name.upper(), "acme": name}
    return re.sub("|".join(words), lambda found: words[found[0]], text)


if __name__ == "__main__":
    sys.exit(main())
