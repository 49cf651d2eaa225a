"""A recommendation is for the team that pays: the tagging policy of the bill names both."""

from dataclasses import replace

import pytest
from tests.cases import WEEK
from tests.fleet import NOW_S, PRICES, inventory, node, workload
from tests.scored import profile
from tests.series import device, usage

from gpuwise.model.findings import Finding
from gpuwise.model.inventory import Namespace
from gpuwise.model.tagging import Tags, owner_of
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.plan import recommend
from gpuwise.recommend.settings import RecommendSettings
from gpuwise.score.settings import ScoreSettings

ACME = Tags({"team": ("acme.example/squad",)})


def owners(tags: Tags, *, labels=None, annotations=None, space=None) -> tuple[str | None, str | None, Finding]:
    """The owner of the recommendation, that of the bill, and the finding."""
    one = replace(workload(), labels=labels or {}, annotations=annotations or {})
    namespace = Namespace(one.ref.namespace, *(space or ({}, {})))
    fleet = replace(inventory(one, nodes=(node(),)), namespaces={namespace.name: namespace})
    profiles = {one.ref: profile(usage(device(WEEK), workload=one.ref), ScoreSettings())}
    [found] = recommend(Fleet(fleet, profiles, PRICES, RecommendSettings(orphaned_after_h=24), NOW_S, tags=tags)).plan
    return found.owner, owner_of(one.ref, one, namespace, tags).team, found.finding


@pytest.mark.parametrize(
    ("tags", "marked", "team"),
    [
        pytest.param(Tags(), {"labels": {"team": "ml"}}, "ml", id="a usual label"),
        pytest.param(ACME, {"labels": {"team": "ml", "acme.example/squad": "s1"}}, "s1", id="a label of one's own"),
        pytest.param(ACME, {"labels": {"team": "ml"}}, "ml", id="no label of one's own"),
        pytest.param(Tags(), {"annotations": {"team": "ml"}}, "ml", id="an annotation"),
        pytest.param(ACME, {"space": ({}, {"acme.example/squad": "s2"})}, "s2", id="an annotation of the namespace"),
        pytest.param(Tags(), {}, None, id="nothing"),
    ],
)
def test_the_owner_of_a_recommendation_is_the_team_that_pays(tags, marked, team):
    recommended, billed, finding = owners(tags, **marked)
    assert recommended == billed == team
    assert finding is (Finding.ORPHANED if team is None else Finding.IDLE)
