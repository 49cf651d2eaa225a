"""Selector strings select the same objects as in Kubernetes."""

import pytest

from gpuwise.model.ownership import selects
from gpuwise.model.selector import parse_selector

OBJECTS = {
    "search": {"team": "search", "tier": "gold"},
    "nlp": {"team": "nlp", "app.kubernetes.io/name": "chat"},
    "blank": {"team": ""},
    "bare": {},
}


# As `kubectl get -l` answers for these objects (kubernetes/apimachinery, pkg/labels, selector_test.go).
@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("", {"search", "nlp", "blank", "bare"}),
        ("team=search", {"search"}),
        ("team==search", {"search"}),
        (" team = search ", {"search"}),
        ("team=", {"blank"}),
        ("team!=search", {"nlp", "blank", "bare"}),
        ("team in (search,nlp)", {"search", "nlp"}),
        ("team in ( search , nlp )", {"search", "nlp"}),
        ("team in (search, )", {"search", "blank"}),
        ("team notin (search,nlp)", {"blank", "bare"}),
        ("team", {"search", "nlp", "blank"}),
        ("!team", {"bare"}),
        ("! team", {"bare"}),
        ("app.kubernetes.io/name=chat", {"nlp"}),
        ("team in (search,nlp),tier", {"search"}),
        ("team,tier!=gold", {"nlp", "blank"}),
        ("in=x", set()),
    ],
)
def test_a_selector_selects_the_same_objects_as_kubectl(text, matched):
    assert {name for name, labels in OBJECTS.items() if selects(parse_selector(text), labels)} == matched


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("team>3", "'team>3' compares numbers"),
        ("team=a=b", "'team=a=b' is not a valid requirement"),
        ("team=search,", "a requirement is empty"),
        (",", "a requirement is empty"),
        ("team in search", "'team in search' is not a valid requirement"),
        ("team in (search", "'team in (search' is not a valid requirement"),
        ("team within (search)", "is not a valid requirement"),
        ("-team=x", "'-team' in '-team=x' is not a valid label key"),
        ("team=-x", "'-x' in 'team=-x' is not a valid label value"),
        ("team in (a b)", "'a b' in"),
        (f"team={'x' * 64}", "is not a valid label value"),
        ("=x", "is not a valid requirement"),
        ("!team=x", "is not a valid requirement"),
    ],
)
def test_an_invalid_selector_is_refused(text, message):
    with pytest.raises(ValueError, match=r".") as refused:
        parse_selector(text)
    assert message in str(refused.value)
