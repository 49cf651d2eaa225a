"""What users, full disks and closed pipes do to a command line ends in a line, never in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.recordings import NOW_S, record_fleet

GPUWISE = Path(sys.executable).with_name("gpuwise")


def ran(*arguments, home, out=subprocess.PIPE, **env):
    """Run gpuwise with no configuration from outside."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("GPUWISE_", "KUBECONFIG"))}
    return subprocess.run(
        [GPUWISE, *arguments],
        stdout=out,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=inherited | {"HOME": str(home)} | env,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("group", [(), ("config",), ("backtest",)])
def test_a_group_alone_prints_its_help(tmp_path, group):
    done = ran(*group, home=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {' '.join(('gpuwise', *group))} [OPTIONS] COMMAND")
    assert "\nCommands:\n" in done.stdout
    assert done.stdout == ran(*group, "--help", home=tmp_path).stdout


@pytest.mark.parametrize(
    ("command", "own", "shared"), [("scan", "--selector", "--prometheus"), ("plan", "--mode", "--ledger")]
)
def test_help_has_a_commands_own_options_first(tmp_path, command, own, shared):
    told = ran(command, "--help", home=tmp_path).stdout
    first, _, second = told.partition("\nShared options:\n")
    assert f"{own} " in first
    assert own not in second
    assert shared not in first
    assert f"{shared} " in second
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
@pytest.mark.parametrize("arguments", [("--help",), ("config", "print")])
def test_a_full_disk_is_told_in_one_line(tmp_path, arguments):
    with Path("/dev/full").open("w") as full:
        done = ran(*arguments, home=tmp_path, out=full)
    assert done.returncode == 1
    assert done.stderr == "error: standard output: No space left on device; is the disk full?\n"


FULL = """
import sys, tempfile
tempfile.tempdir = sys.argv.pop(1)
tempfile.TemporaryFile = lambda **_: open("/dev/full", "r+b", buffering=0)
from gpuwise.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_under_the_profiles_is_told_in_one_line(tmp_path):
    record_fleet(tmp_path / "recording", nodes=4, days=1)
    command = (sys.executable, "-c", FULL, tmp_path, "scan", "--recording", tmp_path / "recording")
    done = subprocess.run(
        [*command, "--ledger", tmp_path / "ledger.db", "--now", str(NOW_S)],
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    *_, error = done.stderr.splitlines()
    assert error.startswith(f"error: cannot keep the usage profiles in {tmp_path}: No space left on device; free space")
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error_to_tell_of(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = ran("config", "print", home=tmp_path, out=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""


def test_a_closed_output_is_told(tmp_path):
    command = f'exec "{GPUWISE}" config print >&-'
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output or standard error is closed")


@pytest.mark.parametrize("module", ["gpuwise.cli.commands", "gpuwise.cli.scan"])
def test_ctrl_c_while_modules_are_imported_is_one_line(tmp_path, module):
    """Interrupt exactly when a module is looked for: no sleep, whatever the machine's speed."""
    code = (
        "import sys, signal, os\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from gpuwise.cli import main\n"
        "sys.argv = ['gpuwise', 'scan', '--help']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == "error: stopped; nothing else was changed"


def test_a_tilde_is_the_home_folder_in_flags_file_and_environment(tmp_path):
    (tmp_path / "here.yaml").write_text("prices: ~/prices.csv\nprometheus: {header_files: {X-Token: ~/token}}\n")
    done = ran("config", "print", "--config=~/here.yaml", "--recording=~/rec", home=tmp_path, GPUWISE_GRID="~/grid.csv")
    assert done.returncode == 0, done.stderr
    for line in (f"recording: {tmp_path}/rec", f"prices: {tmp_path}/prices.csv", f"grid: {tmp_path}/grid.csv",
                 f"X-Token: {tmp_path}/token", f"path: {tmp_path}/.local/state/gpuwise/ledger.db"):  # fmt: skip
        assert line in done.stdout
    named = ran("config", "print", home=tmp_path, GPUWISE_CONFIG="~/here.yaml")
    assert f"prices: {tmp_path}/prices.csv" in named.stdout


def test_a_tilde_of_nobody_is_told(tmp_path):
    done = ran("config", "print", "--recording=~no-such-user/rec", home=tmp_path)
    assert done.returncode == 1
    assert "recording is '~no-such-user/rec', but its home folder is unknown; write the full path" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "--week", "9999-W52", "--recording", "."), "begins on 9999-12-27, in the future"),
        (("report", "--week", "0000-W01", "--recording", "."), "there is no week 0000-W01"),
        (("scan", "--now", "999999999999999", "--recording", "."), "is not between 1970 and 9998"),
        (("scan", "--now", "-5", "--recording", "."), "is not between 1970 and 9998"),
        (("scan", "--look-back-h", "999999999", "--recording", "."), "observe.look_back_h is 999999999"),
        (("scan", "--look-back-h", "0", "--recording", "."), "observe.look_back_h is 0"),
    ],
)
def test_times_that_no_calendar_has_are_told(tmp_path, arguments, said):
    done = ran(*arguments, home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_pausing_twice_and_resuming_twice_say_so_and_fail_no_script(tmp_path):
    told = [ran(word, home=tmp_path) for word in ("resume", "pause", "pause", "resume", "resume")]
    assert [done.returncode for done in told] == [0] * 5
    assert [done.stdout.split(";")[0].split(",")[0].split(":")[0].strip() for done in told] == [
        "gpuwise is not paused",
        "pause",
        "gpuwise is paused already",
        "resume",
        "gpuwise is not paused",
    ]


def test_a_ledger_file_and_a_ledger_url_at_once_are_refused(tmp_path):
    """A flag overrides the environment; it was ignored, and `ledger verify --ledger COPY` verified the database."""
    url = "postgresql://gpuwise@127.0.0.1:1/gpuwise"
    done = ran("ledger", "verify", "--ledger", tmp_path / "copy.db", home=tmp_path, GPUWISE_LEDGER_URL=url)
    assert done.returncode == 1
    assert "--ledger names a file, and ledger.url a database" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_terminal_that_lacks_a_letter_shows_its_escape(tmp_path):
    ran("pause", "--reason", "Zähler", home=tmp_path)
    done = ran("pause", home=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Z\\xe4hler" in done.stdout


@pytest.mark.parametrize("interval", ["0", "-5"])
def test_a_loop_without_a_pause_is_refused(tmp_path, interval):
    done = ran("run", "--interval", interval, home=tmp_path)
    assert done.returncode == 1
    assert "--interval" in done.stderr


@pytest.mark.parametrize("command", [("patch", "r-0000000000"), ("policy", "check", "job.yaml")])
def test_a_ledger_in_postgresql_is_the_ledger_of_every_command(tmp_path, command):
    """A file that nobody writes would say that no recommendation exists, and that no budget was used."""
    (tmp_path / "job.yaml").write_text("")
    url = "postgresql+psycopg://gpuwise@127.0.0.1:9/gpuwise"
    done = ran(
        *(part.replace("job.yaml", str(tmp_path / "job.yaml")) for part in command),
        home=tmp_path,
        GPUWISE_LEDGER_URL=url,
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".local").exists()
