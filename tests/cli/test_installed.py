"""Commands without the extra `fleet`: one line that says what to install."""

import subprocess
import sys

import pytest

from gpuwise.cli import commands
from gpuwise.cli.installed import missing


def test_the_test_environment_has_the_extra():
    assert missing() == []


def test_a_package_of_the_extra_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch):
    required = [
        "click>=8.1",
        'numpy>=2.0; extra == "fleet"',
        "not-there[x]>=3; extra == 'fleet'",
        'other; extra == "x"',
    ]
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: required)
    assert missing() == ["not-there"]


def run(*arguments: str, missing: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process where rich cannot be imported."""
    code = (
        f"import sys; sys.modules['rich'] = None; sys.argv = ['gpuwise', *{list(arguments)!r}]; "
        f"from gpuwise.cli import commands, main; commands.missing = lambda: {missing!r}; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("command", sorted(commands.COMMANDS.keys() - {"exporter"}))
def test_a_command_that_needs_the_extra_says_so_in_one_line(command: str):
    done = run(command, missing=["rich"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: `gpuwise {command}` needs packages that are not installed, such as rich; install 'gpuwise[fleet]'\n"
    )


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("exporter", "--help")])
def test_the_exporter_and_the_help_need_no_extra(arguments: tuple[str, ...]):
    done = run(*arguments, missing=["rich"])
    assert (done.returncode, done.stderr) == (0, "")
    assert "gpuwise" in done.stdout


def test_an_import_that_fails_though_all_is_installed_is_not_hidden():
    done = run("scan", missing=[])
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr
