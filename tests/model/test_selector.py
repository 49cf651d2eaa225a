"""Selector strings mean what Kubernetes means by them."""

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
def test_what_is_selected(text, matched):
    assert {name for name, labels in OBJECTS.items() if selects(parse_selector(text), labels)} == matched


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("team>3", "'team>3' compares numbers"),
        ("team=a=b", "'team=a=b' is no requirement"),
        ("team=search,", "a requirement is empty"),
        (",", "a requirement is empty"),
        ("team in search", "'team in search' is no requirement"),
        ("team in (search", "'team in (search' is no requirement"),
        ("team within (search)", "is no requirement"),
        ("-team=x", "'-team' in '-team=x' is no label key"),
        ("team=-x", "'-x' in 'team=-x' is no label value"),
        ("team in (a b)", "'a b' in"),
        (f"team={'x' * 64}", "is no label value"),
        ("=x", "is no requirement"),
        ("!team=x", "is no requirement"),
    ],
)
def test_what_is_no_selector_is_refused(text, said):
    with pytest.raises(ValueError, match=r".") as refused:
        parse_selector(text)
    assert said in str(refused.value)
