"""Every package that `make setup`, `make bench` and `make image` install is pinned and verified by its hash."""

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.conftest import REPOSITORY

CONSTRAINTS = REPOSITORY / ".ci" / "constraints.txt"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
UV = Path(sys.executable).with_name("uv")
BUILD = PROJECT["build-system"]["requires"]
PYTHONS = ("3.11", "3.12", "3.13")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def entries() -> list[tuple[Requirement, list[str]]]:
    """Each pinned package with its options."""
    text = CONSTRAINTS.read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = []
    for fields in lines:
        options = [field for field in fields if field.startswith("--")]
        found.append((Requirement(" ".join(field for field in fields if field not in options)), options))
    return found


def pinned() -> dict[str, list[Requirement]]:
    """The pins by name; a package has several if its newest version needs a newer Python."""
    found: dict[str, list[Requirement]] = defaultdict(list)
    for requirement, _ in entries():
        found[canonicalize_name(requirement.name)].append(requirement)
    return found


def version(requirement: Requirement) -> str:
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", requirement
    assert not specifier.version.endswith("*"), requirement
    return specifier.version


def test_every_pinned_package_has_hashes_and_nothing_else():
    assert len(entries()) > 100
    for requirement, options in entries():
        assert version(requirement)
        assert options, f"{requirement} has no hash: run `make constraints`"
        assert [one for one in options if not HASH.fullmatch(one)] == [], requirement


def test_no_index_is_configured():
    """The user chooses the index: a mirror serves files with the same hashes."""
    assert not re.search(r"https?:|index|find-links", CONSTRAINTS.read_text())


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_within_its_range(python: str):
    groups = chain.from_iterable(PROJECT["dependency-groups"].values())
    extras = chain.from_iterable(PROJECT["project"]["optional-dependencies"].values())
    required = [Requirement(text) for text in chain(PROJECT["project"]["dependencies"], extras, groups, BUILD)]
    known = pinned()
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    for requirement in required:
        pins = known.get(canonicalize_name(requirement.name), [])
        used = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
        assert len(used) == 1, f"{requirement} has {len(used)} pins for Python {python}: run `make constraints`"
        assert requirement.specifier.contains(version(used[0]), prereleases=True), f"{used[0]} is not {requirement}"


def test_build_requirements_are_exact_and_are_the_pinned_ones():
    assert {canonicalize_name(Requirement(text).name) for text in BUILD} == {"setuptools", "cython"}
    for requirement in map(Requirement, BUILD):
        (pin,) = pinned()[canonicalize_name(requirement.name)]
        assert version(requirement) == version(pin)


@pytest.mark.parametrize("file", ["Makefile", "Containerfile"])
def test_every_installed_package_is_verified(file: str):
    """Packages by --require-hashes; gpuwise, which has no hash, separately and with pinned build requirements."""
    text = (REPOSITORY / file).read_text().replace("\\\n", " ").replace("$(HASHED)", hashed())
    installs = [line for line in re.split(r"\n|&&", text) if "pip install" in line and not line.startswith("#")]
    assert len(installs) == {"Makefile": 4, "Containerfile": 4}[file]
    for line in installs:
        itself = "--no-deps" in line and "--build-constraint" in line
        assert itself or "--require-hashes" in line, line


def hashed() -> str:
    (value,) = re.findall(r"^HASHED := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return value


def wheel(folder: Path) -> str:
    """A package of one file, and its hash."""
    path = folder / "thing-1.0-py3-none-any.whl"
    info = "thing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        ("--hash=sha256:{right}", None),
        ("--hash=sha256:{wrong} --hash=sha256:{right}", None),
        ("--hash=sha256:{wrong}", "Hash mismatch for `thing==1.0`"),
        ("", "Hash-checking is required, but no trusted hash was provided for: `thing`"),
    ],
)
def test_a_package_with_another_hash_is_rejected(tmp_path: Path, hashes: str, message: str | None):
    """With the flags of `make setup`, for a package that is in no index."""
    right = wheel(tmp_path)
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("thing==1.0 " + hashes.format(right=right, wrong="0" * 64))
    flags = hashed().replace(".ci/constraints.txt", str(constraints)).split()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["thing>=0.5"]\n')
    command = [UV, "pip", "install", "--no-config", "--no-cache", "--no-index", "--find-links", tmp_path, *flags]
    command += ["--target", tmp_path / "site", "--requirement", "pyproject.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode == 0) is (message is None), done.stderr
    assert (tmp_path / "site" / "thing.py").exists() is (message is None)
    assert message is None or message in done.stderr
