"""The ledger's questions read what they ask for: SQLite plans each by an index, without statistics."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from gpuwise.memory import ledger_queries as queries
from gpuwise.memory.ledger import SqliteLedger

DIALECT = sqlite.dialect(paramstyle="named")
QUESTIONS = {
    "attempted": (queries.ATTEMPTED, {"by_target", "by_subject", "by_kind", "INTEGER PRIMARY KEY"}),
    "an intent": (queries.INTENT, {"by_subject"}),
    "intents": (queries.INTENTS, {"by_kind"}),
    "unsettled": (queries.UNSETTLED, {"by_subject"}),
    "outcomes of one": (queries.OUTCOMES_OF, {"by_subject"}),
    "outcomes of many": (queries.OUTCOMES_OF_MANY, {"by_subject"}),
    "spent": (queries.spent(of_one_cluster=True), {"by_kind", "by_subject"}),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_no_question_reads_all_events(tmp_path: Path, name: str):
    question, indexes = QUESTIONS[name]
    compiled = question.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    with SqliteLedger(tmp_path / "ledger.db") as ledger, ledger._database.reading() as db:
        values = dict.fromkeys(compiled.params, "[]")
        plan = [row[3] for row in db.execute(text(f"EXPLAIN QUERY PLAN {compiled}"), values)]
    read = [step for step in plan if step.startswith(("SEARCH", "SCAN")) and "json_each" not in step]
    assert not [step for step in read if step.startswith("SCAN events")], plan
    assert {one for one in indexes if any(one in step for step in read)} == indexes, plan
