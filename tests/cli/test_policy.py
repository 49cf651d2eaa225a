"""`gpuwise policy test`: what limits a comparison is said."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.snapshots.test_anonymise import snapshot

from gpuwise.cli.commands import gpuwise
from gpuwise.snapshots.snapshot import write


@pytest.mark.parametrize(("per_s", "told"), [(3_600, False), (86_400, True)])
def test_a_window_that_is_longer_than_the_history_of_the_snapshot_is_told(tmp_path: Path, per_s: int, told: bool):  # noqa: FBT001
    """The snapshot has the changes of its own policy's windows: a longer one would look less used than it is."""
    write(snapshot(), tmp_path / "s.gz")
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"mode: enforce\nbudget: {{disruptions: 5, per_s: {per_s}}}\n")
    done = CliRunner().invoke(gpuwise, ["policy", "test", str(policy), "--against", str(tmp_path / "s.gz")])
    assert done.exit_code == 0, done.exception
    assert ("more of it may be used up" in " ".join(done.output.split())) == told
