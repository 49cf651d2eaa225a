"""One word per thing: the old words of docs/glossary.md are in no tracked text."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY

GLOSSARY = "docs/glossary.md"
SECTION = "## Words we do not use"

NOT_OURS = {
    "CHANGELOG.md": "it tells what was, in the words of then",
    "LICENSE": "not our text",
    ".ci/constraints.txt": "names and hashes of packages",
    "tests/data/": "what exporters of others really serve",
    "tests/kubernetes/wire_equal.txt": "names of recorded exchanges",
}
"""Files, and folders that end with a slash, which are not searched, and why."""

KEPT = {
    "holds": "the list of what is blocked, in the JSON of the report and of the ledger, and in the API's path",
    "obstacles": "the list of blockers, in the JSON of the report",
}
"""Names of the JSON output that do not change, and what they are. They may stand in quotes, backticks and paths."""

LEGITIMATE = (
    "the rest of the fleet", "it rests on this law", "each in turn, then turn it on", "the server room temperature",
    "headroom", "recommend, amend, commend", "indeed", "disjoint groups", "no more than 5 %", "a spare replica",
    "AWS's Spot Advisor", "a bearer token", "hold the lock while it reads", "the law holds", "held-out data",
    "a threshold", "sha256:0deed1dear2", "the household", "hinted", "go back", "get it back", "foretold",
)  # fmt: skip
"""What no pattern may take for an old word."""

SKIPPED_FOLDERS = {"build", "dist", "__pycache__", "node_modules"}


@dataclass(frozen=True)
class OldWord:
    """A row of the glossary's table."""

    name: str
    use: str
    text: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return alone(self.text)


def old_words(glossary: str) -> list[OldWord]:
    """The rows of the section's table; a pipe within a cell is written with a backslash before it."""
    _, found, section = glossary.partition(f"\n{SECTION}\n")
    assert found, f"{GLOSSARY} has no section {SECTION!r}"
    rows = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [_old_word(row) for row in rows[2:]]


def _old_word(row: str) -> OldWord:
    name, use, pattern = (cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    return OldWord(name, use, pattern.strip("`"))


def alone(*patterns: str) -> re.Pattern[str]:
    """One of some patterns that is no part of a longer word."""
    return re.compile(f"(?<![A-Za-z0-9])(?:{'|'.join(patterns)})(?![A-Za-z0-9])", re.IGNORECASE)


def paths(root: Path) -> Iterator[str]:
    """Tracked files; without git, every file outside hidden and built folders."""
    if (root / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        yield from sorted(filter(None, listed.stdout.split("\0")))
        return
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name == ".ci" or not _skipped(name))
        yield from ((Path(folder) / name).relative_to(root).as_posix() for name in sorted(files))


def _skipped(folder: str) -> bool:
    return folder.startswith(".") or folder in SKIPPED_FOLDERS or folder.endswith(".egg-info")


def text_of(path: Path) -> str | None:
    """The text of a file, None for what is no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return None
    return None if "\0" in text else text


def searched(path: str, text: str) -> str:
    """A file's text without what is exempt; lines keep their numbers."""
    if path == GLOSSARY:
        before, _, section = text.partition(f"\n{SECTION}\n")
        inside, _, after = section.partition("\n## ")
        text = before + "\n" * (inside.count("\n") + 3) + after
    text = re.sub("plan.not.deed", "", text)  # a given case's name
    for name in KEPT:
        text = re.sub(rf"""(["'`]){name}\1|/{name}(?![\w/])""", '""', text)
    return text


def findings(root: Path) -> list[str]:
    """Each old word in each file, as a line that says where it is and what to write instead."""
    words = old_words((root / GLOSSARY).read_text(encoding="utf-8"))
    every = alone(*(word.text for word in words))
    found = []
    for path in paths(root):
        if any(path == one or (one.endswith("/") and path.startswith(one)) for one in NOT_OURS):
            continue
        text = text_of(root / path)
        if text is None:
            continue
        text = searched(path, text)
        if not every.search(path) and not every.search(text):
            continue  # in a quarter of the time that all lines and all words take
        for number, line in [(0, path), *enumerate(text.split("\n"), start=1)]:
            for word in words:
                if (match := word.pattern.search(line)) is not None:
                    where = f"{path}:{number}" if number else f"{path} (its name)"
                    found.append(f"{where}: {match[0]!r} ({word.name}): use {word.use}")
    return found


def test_the_old_words_are_gone():
    found = findings(REPOSITORY)
    assert not found, f"{len(found)} old words; {GLOSSARY} has the table:\n" + "\n".join(found)


WORDS = old_words((REPOSITORY / GLOSSARY).read_text(encoding="utf-8"))


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
def test_each_pattern_finds_its_word_and_no_legitimate_one(word):
    assert word.use
    examples = re.sub(r" \(.*?\)", "", word.name).split(", ")
    assert all(word.pattern.search(example) for example in examples)
    assert [text for text in (*LEGITIMATE, word.use) if word.pattern.search(text)] == []


def test_words_are_found_in_text_and_names_and_the_exempt_are_not(tmp_path):
    old = WORDS[0].name
    row = f"| old | new | pattern |\n|---|---|---|\n| {old} | hint | `{old}` |\n"
    table = f"# Glossary\n\n{SECTION}\n\n{row}\n## More\n{old}\n"
    files = {GLOSSARY: table, "CHANGELOG.md": old, "tests/data/x.prom": old, "src/a.py": f"x = 1\n_{old.upper()} = 2\n"}
    files |= {f"src/{old}.md": "nothing", ".venv/b.py": old, "src/c.py": "a" + old}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "src" / "d.bin").write_bytes(b"\xff\0" + old.encode())
    where = [line.partition(": ")[0] for line in findings(tmp_path)]
    assert where == [f"{GLOSSARY}:10", "src/a.py:2", f"src/{old}.md (its name)"]
    assert all("use hint" in line for line in findings(tmp_path))


def test_names_of_the_json_output_are_kept_where_they_are_names():
    for name in KEPT:
        kept = f'["{name}"] `{name}` /api/v1/{name}'
        assert name not in searched("docs/x.md", kept)
        assert name in searched("docs/x.md", f"two {name}")
