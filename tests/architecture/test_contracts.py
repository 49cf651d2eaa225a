import importlib.util
import re
import subprocess
import sys
import tomllib

from tests.conftest import REPOSITORY

PURE = ("model", "score", "recommend", "decide", "finops")


def layers() -> list[str]:
    """The packages of the import contract, top layer first."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    contract = next(c for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [name.strip() for layer in contract["layers"] for name in layer.split("|")]


def test_the_architecture_page_lists_the_packages_of_the_import_contract():
    page = (REPOSITORY / "ARCHITECTURE.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert listed == layers()


def test_the_architecture_page_is_one_page():
    assert len((REPOSITORY / "ARCHITECTURE.md").read_text().splitlines()) <= 120


def test_every_package_and_module_is_in_the_contract():
    source = REPOSITORY / "src" / "gpuwise"
    present = {p.name for p in source.iterdir() if (p / "__init__.py").exists()} | {p.stem for p in source.glob("*.py")}
    assert present - {"__init__"} == set(layers())


def test_the_import_contracts_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


def test_every_package_has_a_docstring_with_its_purpose():
    for package in layers():
        source = REPOSITORY / "src" / "gpuwise" / package / "__init__.py"
        if source.exists():
            text = source.read_text()
            assert text.startswith('"""'), package
            assert "orbidden" in text or "Pure" in text or package in ("cli", "service", "store"), package


def test_generated_documents_are_current():
    spec = importlib.util.spec_from_file_location("generate", REPOSITORY / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.stale() == []


def test_importing_the_command_line_loads_no_heavy_library():
    heavy = "('ray','kubernetes','pyarrow','grpc')"
    code = f"import gpuwise.cli.commands, sys; print(*(m for m in {heavy} if m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
