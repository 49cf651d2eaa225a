"""`gpuwise snapshot`: all that the decisions depend on, in one file. Reads only."""

import secrets
import time
from pathlib import Path

import click

from gpuwise.cli.console import err, progress, say
from gpuwise.cli.help import command
from gpuwise.cli.options import acting, now
from gpuwise.cli.paths import FILE
from gpuwise.config import Config
from gpuwise.model.errors import InputError
from gpuwise.snapshots.anonymise import anonymised, inexact, unmatched
from gpuwise.snapshots.snapshot import Snapshot, take, write
from gpuwise.wiring import loop

_KEY_BYTES = 32


@command()
@acting
@now
@click.option("-o", "--output", "file", type=FILE, required=True, help="File to write, gzip JSON.")
@click.option("--plain", is_flag=True, help="Keep the names of namespaces, workloads, nodes, owners and people.")
@click.option(
    "--key-file",
    type=FILE,
    help="Secret key of the pseudonyms, so that they are the same in each snapshot; created if it does not exist."
    "  [default: a new key, which is not stored]",
)
def snapshot(config: Config, now_s: int | None, file: Path, plain: bool, key_file: Path | None) -> None:  # noqa: FBT001
    """Write all that the decisions depend on to one anonymised file. `gpuwise policy test` runs on it."""
    if plain and key_file is not None:
        raise InputError("--plain and --key-file exclude each other", hint="give one of them")
    key = _key(key_file)
    at_s = now_s or int(time.time())
    with progress() as step, loop(config, step, writing=False, planning=True, any_policy=True, at_s=now_s) as pipeline:
        taken = take(pipeline, at_s)
    made = taken if plain else anonymised(taken, key)
    write(made, file)
    for line in _about(taken, plain=plain):
        say(line, to=err)
    say(str(file))


def _about(taken: Snapshot, *, plain: bool) -> list[str]:
    lines = [f"{len(taken.inventory.workloads)} workloads, {len(taken.recommendations)} recommendations"]
    if taken.checks is None:
        lines.append("Without a cluster, the enactor's checks are not part of it.")
    if plain:
        return [*lines, "It has names: of namespaces, workloads, nodes, owners and people."]
    lines.append("Names are pseudonyms: a policy's names match only in a snapshot taken with --plain or --key-file.")
    names = unmatched(taken.settings)
    if names:
        lines.append(f"Of the policy now in force, these have pseudonyms, too: {', '.join(names)}.")
    if odd := inexact(taken.settings):
        lines.append(f"Rules that look at parts of names may decide differently in it: {', '.join(odd)}.")
    return lines


def read_key(file: Path) -> bytes:
    """Return the key of pseudonyms in a file.

    Raises:
        InputError: the file cannot be read, or is too short for a key.
    """
    try:
        key = file.read_bytes().strip()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}", hint="check --key-file") from error
    if len(key) < _KEY_BYTES:
        problem = f"{file} has {len(key)} bytes, and a key needs {_KEY_BYTES}"
        raise InputError(problem, hint="name a file that does not exist: it is created")
    return key


def _key(file: Path | None) -> bytes:
    if file is None:
        return secrets.token_bytes(_KEY_BYTES)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(_KEY_BYTES) + "\n")
        say(f"Created the key {file}: keep it secret.", to=err)
    return read_key(file)
