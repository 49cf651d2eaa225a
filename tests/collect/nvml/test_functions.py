"""The fake NVML must have every function that the exporter calls: a missing one would look like "not supported"."""

import ast
import inspect
import re
import subprocess
from pathlib import Path

import pynvml
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "gpuwise" / "collect" / "nvml"


def called() -> set[str]:
    trees = [ast.parse(path.read_text()) for path in PACKAGE.glob("*.py")]
    names = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return {name for name in names if name.startswith("nvml") and callable(getattr(pynvml, name, None))}


def symbols(name: str) -> set[str]:
    """The C functions that a pynvml function looks up, including those of the pynvml functions that it calls."""
    source = inspect.getsource(getattr(pynvml, name))
    inner = {call for call in re.findall(r"\b(nvml\w+)\(", source) if call != name and hasattr(pynvml, call)}
    direct = set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', source))
    functions = {call for call in inner if inspect.isfunction(getattr(pynvml, call)) and "Struct" not in call}
    return direct.union(*(symbols(call) for call in functions))


def test_the_fake_has_every_function_that_the_exporter_calls(fake_nvml: Path):
    wanted = {symbol for name in called() for symbol in symbols(name)}
    assert len(wanted) > 45
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", fake_nvml], capture_output=True, text=True, check=True
    ).stdout
    assert wanted <= set(re.findall(r" T (nvml\w+)", listed))


def test_only_one_package_imports_pynvml():
    others = [path for path in (PACKAGE.parents[1]).rglob("*.py") if PACKAGE not in path.parents]
    assert [path for path in others if re.search(r"\bimport pynvml|from pynvml", path.read_text())] == []
