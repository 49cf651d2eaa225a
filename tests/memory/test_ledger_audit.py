"""The audit trail: what is wrong with a ledger and where, who did what, and a role that cannot change rows."""

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from tests.memory.conftest import Place, closing_ledger
from tests.memory.test_ledger import intent, spend
from tests.postgresql_server import PASSWORD

from gpuwise.cli.commands import gpuwise
from gpuwise.memory.ledger import SqlLedger
from gpuwise.memory.ledger_audit import entries, problems
from gpuwise.memory.ledger_database import postgresql
from gpuwise.model.command import Directive, Outcome, OutcomeStatus, Term
from gpuwise.model.cost import NOBODY, CostDay, CostRow, GpuSeconds, Price
from gpuwise.model.errors import InputError, LedgerError


def filled(place: Place) -> Place:
    with place.open() as ledger:
        ledger.begin_term(Term(1, "pod-a", 900))
        for number in range(3):
            spend(ledger, number)
        ledger.record_outcome(Outcome("a-1", 1_005, OutcomeStatus.APPLIED, None, "2 to 0"))
        ledger.record_directive(Directive("pause", "*", "ana", 1_010, "incident"))
    return place


def read(place: Place, what) -> list:
    with closing_ledger(place.database) as database, database.of_one_instant() as db:
        return list(what(db))


def test_i25_each_effect_has_one_intent_with_its_actor_and_target(place):
    found = {one.seq: one for one in read(filled(place), entries)}
    assert [one.kind for one in found.values()] == ["term", *["intent"] * 3, "outcome", "directive"]
    assert (found[2].actor, found[2].workload, found[2].what) == ("policy", "research/Deployment/chat", "ScaleTo")
    assert found[2].detail == "replicas: 2 -> 0"
    assert (found[5].actor, found[5].workload, found[5].action) == ("policy", "research/Deployment/chat", "a-1")
    assert (found[6].actor, found[6].what, found[6].detail) == ("ana", "pause", "incident")


def test_an_intact_ledger_has_no_problems(place):
    assert read(filled(place), problems) == []


def test_i25_every_change_is_listed_with_its_row(place):
    filled(place).change(
        "UPDATE events SET body = replace(body, 'policy', 'nobody') WHERE seq = 2",
        "DELETE FROM events WHERE seq = 4",
        "DELETE FROM open_intents",
    )
    found = read(place, problems)
    assert found[0] == "row 2 (intent a-0): the row, or the one before it, was changed"
    assert found[1] == "row 4 is missing"
    assert "the table of open intents does not have it" in found[-1]


BROKEN = (
    "UPDATE events SET body = '{}' WHERE seq = 2",
    "UPDATE events SET body = '[]' WHERE seq = 3",
    "UPDATE events SET body = '{broken' WHERE seq = 5",
    "UPDATE events SET at_s = 999999999999999999 WHERE seq = 6",
)


def test_i25_a_body_that_is_no_json_is_a_row_that_was_changed(place):
    """PostgreSQL and SQLite refuse to look into it; the message was that another process may have locked the file."""
    filled(place).change(*BROKEN)
    assert [one.split(" (")[0] for one in read(place, problems)] == ["row 2", "row 3", "row 5", "row 6"]
    with pytest.raises(LedgerError, match="tampered with at row 2"):
        place.open()


def test_rows_that_cannot_be_read_do_not_hide_the_others(place):
    filled(place).change(*BROKEN)
    found = read(place, entries)
    assert [one.seq for one in found if "cannot be read" in one.what] == [2, 3, 5]
    assert (found[3].actor, found[3].detail) == ("policy", "replicas: 2 -> 0")


@pytest.mark.parametrize("form", ["table", "json", "yaml", "csv"])
def test_a_damaged_ledger_is_shown_as_far_as_it_can_be_read(tmp_path, form):
    place = Place(path=tmp_path / "ledger.db")
    others = ("UPDATE events SET at_s = 'soon' WHERE seq = 4", "UPDATE events SET subject = x'ff00' WHERE seq = 6")
    filled(place).change(*BROKEN, *others)
    for arguments, code in ((("show", "-o", form), 0), (("verify",), 1)):
        done = CliRunner().invoke(gpuwise, ["ledger", *arguments, "--ledger", str(place.path)])
        assert done.exit_code == code, done.exception
        assert "row" in done.output
    assert "changed  row 2 (intent a-0)" in done.output


ROLE = (
    "CREATE ROLE {role} LOGIN PASSWORD '{password}'",
    "GRANT USAGE ON SCHEMA {schema} TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
    "GRANT INSERT ON {schema}.events TO {role}",
    (
        "GRANT INSERT, DELETE ON {schema}.findings, {schema}.open_intents, {schema}.verified, {schema}.cost_days,"
        " {schema}.costs TO {role}"
    ),
)
"""The rights of docs/ledger.md."""

COST = CostRow(0, NOBODY, Price("H100-80GB", usd_per_gpu_h=2.0), GpuSeconds(unallocated=3_600.0))


def test_the_manual_grants_the_rights_of_these_tests():
    manual = Path(__file__).parents[2].joinpath("docs/ledger.md").read_text(encoding="utf-8")
    for grant in ROLE[2:]:
        bare = grant.replace("{schema}.", "").replace("SCHEMA {schema}", "SCHEMA public").format(role="gpuwise")
        assert f"{bare};" in manual


def test_i25_a_role_without_the_rights_to_update_and_delete_is_enough(postgresql_server):
    url = postgresql_server.new_schema()
    schema = url.rpartition("%3D")[2]
    with SqlLedger(postgresql(url, PASSWORD)) as owner:
        spend(owner, 0)
    with psycopg.connect(postgresql_server.admin, autocommit=True) as db:
        for statement in ROLE:
            db.execute(statement.format(role=f"writer_{schema}", schema=schema, password=PASSWORD))
    own = postgresql(postgresql_server.url(schema, user=f"writer_{schema}"), PASSWORD)
    with SqlLedger(own) as ledger:
        assert spend(ledger, 1)
        ledger.record_outcome(Outcome("a-1", 1_005, OutcomeStatus.APPLIED, None, "2 to 0"))
        ledger.record_run(2_000, [], [])
        ledger.costs().record([CostDay(0, 0, 43_200, closed=False)], [COST])
        ledger.costs().record([CostDay(0, 0, 86_400, closed=True)], [COST])
        assert list(ledger.costs().rows(0, 86_400)) == [COST]
        ledger.verify(whole=True)
        for statement in (
            "UPDATE events SET body = ''",
            "DELETE FROM events",
            "ALTER TABLE events DISABLE TRIGGER USER",
        ):
            with pytest.raises(LedgerError, match=r"permission denied|must be owner"), own.writing() as db:
                db.exec_driver_sql(statement)
        assert len(ledger.intents()) == 2


def test_a_role_that_may_only_read_verifies_and_shows(postgresql_server):
    url = postgresql_server.new_schema()
    schema = url.rpartition("%3D")[2]
    with SqlLedger(postgresql(url, PASSWORD)) as owner:
        spend(owner, 0)
        spend(owner, 1)
    with psycopg.connect(postgresql_server.admin, autocommit=True) as db:
        db.execute("DELETE FROM " + schema + ".verified")
        for statement in ROLE[:3]:
            db.execute(statement.format(role=f"reader_{schema}", schema=schema, password=PASSWORD))
    with SqlLedger(postgresql(postgresql_server.url(schema, user=f"reader_{schema}"), PASSWORD)) as ledger:
        ledger.verify(whole=True)
        assert len(ledger.intents()) == 2
        with pytest.raises(LedgerError, match=r"permission denied.*check the role"):
            spend(ledger, 2)


def test_a_ledger_goes_on_after_a_restart_of_the_server(postgresql_server):
    with SqlLedger(postgresql(postgresql_server.new_schema(), PASSWORD)) as ledger:
        spend(ledger, 0)
        postgresql_server.control("-m", "fast", "restart")
        assert spend(ledger, 1)
        assert ledger.intent("a-0") == intent()


@pytest.mark.parametrize(
    "url",
    [
        *("nothing", "mysql://a@b/c", "postgresql://gpuwise:secret@db/gpuwise"),
        *("postgresql://db/x?password=secret", "postgresql://db/x?sslpassword=secret"),
    ],
)
def test_a_url_that_is_not_for_postgresql_or_has_a_password_is_refused(url):
    with pytest.raises(InputError, match=r"ledger\.url") as raised:
        postgresql(url, None)
    assert "secret" not in str(raised.value)


def test_a_server_that_does_not_respond_is_an_error_with_its_address():
    with pytest.raises(LedgerError, match=r"127\.0\.0\.1:1"):
        SqlLedger(postgresql("postgresql://gpuwise@127.0.0.1:1/gpuwise", None))
