import gzip
import json
from dataclasses import replace

import pytest
from tests.snapshots.test_anonymise import snapshot

from gpuwise.model.errors import InputError
from gpuwise.model.reasons import Reason
from gpuwise.snapshots.anonymise import anonymised
from gpuwise.snapshots.snapshot import decide_on, read, write


def test_a_snapshot_is_read_as_it_was_written(tmp_path):
    write(snapshot(), tmp_path / "s")
    assert read(tmp_path / "s") == snapshot()
    (tmp_path / "plain.json").write_bytes(gzip.decompress((tmp_path / "s").read_bytes()))
    assert read(tmp_path / "plain.json") == snapshot()


@pytest.mark.parametrize("nodes", [True, False])
def test_a_change_of_a_node_is_decided_as_in_the_loop_that_took_it(tmp_path, nodes):
    """Without `nodes`, a policy that lets automation drain a node would look as if it changed nothing."""
    taken = replace(snapshot(), nodes=nodes)
    write(anonymised(taken, b"k" * 32), tmp_path / "s")
    for one in (taken, read(tmp_path / "s")):
        [item] = [item for item in one.recommendations if item.workload.kind == "Node"]
        reasons = {found.recommendation_id: found.reason for found in decide_on(one, one.settings).blocked}
        assert (reasons.get(item.id) is Reason.KIND_NOT_SUPPORTED) == (not nodes)


def changed(raw, **fields):
    return gzip.compress(json.dumps(json.loads(gzip.decompress(raw)) | fields).encode())


BAD = {
    "nothing": (lambda raw: b"", "it is not gzip JSON"),
    "cut off": (lambda raw: raw[:-20], "it is not gzip JSON"),
    "text": (lambda raw: b"mode: enforce", "it is not gzip JSON"),
    "deep": (lambda raw: b"[" * 100_000, "it is not gzip JSON"),
    "another file": (lambda raw: b"{}", "it has no version"),
    "a later version": (
        lambda raw: changed(raw, version=2),
        "of version 2, by gpuwise 0; this gpuwise reads",
    ),
    "a field of another type": (lambda raw: changed(raw, now_s="soon"), "now_s: "),
    "a policy that gpuwise refuses": (lambda raw: changed(raw, settings={"moed": "off"}), "settings.moed"),
}


@pytest.mark.parametrize("name", BAD)
def test_another_file_is_an_error_that_says_how_to_write_one(tmp_path, name):
    change, expected = BAD[name]
    file = tmp_path / "s"
    write(snapshot(), file)
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(InputError, match=expected):
        read(file)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*: No such file or directory; check --against"):
        read(tmp_path / "none")
