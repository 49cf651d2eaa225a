"""Use of external models, from the metrics of gateways in a real Prometheus."""

import json

import pytest
from tests.command import ran
from tests.prometheus_server import openmetrics

from gpuwise.model.apis import ApiUse
from gpuwise.sources.prometheus.gateways import GatewayUse
from gpuwise.sources.prometheus.settings import PrometheusSettings

DAY_S, STEP_S = 86_400, 300
START_S = 1_780_272_000  # 2026-06-01 00:00 UTC
TOKENS = "gen_ai_client_token_usage_token_sum"


def counter(name: str, labels: dict[str, str], per_day: float, days: float = 3.5) -> str:
    """A counter that grows evenly from the day before the first one; the process restarts after a day and a half."""
    samples, value = {}, 5.0
    for at in range(round(days * DAY_S / STEP_S) + DAY_S // STEP_S + 1):
        at_s = START_S - DAY_S + at * STEP_S
        samples[at_s] = value
        value = 0.0 if at_s == START_S + DAY_S * 3 // 2 else value + per_day * STEP_S / DAY_S
    return openmetrics(name, labels, samples, kind="counter" if name.endswith("_total") else "gauge")


@pytest.fixture
def url(start_prometheus):
    series = counter("litellm_spend_metric_total", {"team_alias": "ml", "model": "gpt-x", "user": "ada"}, 24.0)
    series += counter("litellm_spend_metric_total", {"team_alias": "ml", "model": "gpt-x", "user": "bo"}, 12.0)
    envoy = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "[red]m[/red]"}
    series += counter(TOKENS, envoy | {"gen_ai_token_type": "input"}, 2e6)
    series += counter(TOKENS, envoy | {"gen_ai_token_type": "output"}, 1e6)
    return start_prometheus(series=series)


def test_the_increase_of_three_days_and_a_half_by_team_and_model(url):
    spend, tokens = GatewayUse(PrometheusSettings(url)).read(START_S, START_S + DAY_S * 7 // 2)
    assert (spend.gateway, spend.team, spend.model) == ("LiteLLM", "ml", "gpt-x")
    assert spend.usd == pytest.approx(36.0 * 3.5, rel=0.01)
    assert tokens == ApiUse(
        "Envoy AI Gateway", None, "openai", "[red]m[/red]", None, tokens.input_tokens, tokens.output_tokens
    )
    assert (tokens.input_tokens, tokens.output_tokens) == pytest.approx((7e6, 3.5e6), rel=0.01)


def test_it_says_which_days_have_data(url, tmp_path):
    """Samples from May 31 to noon of June 4: four days of June until its sixth, and none of April."""
    days = GatewayUse(PrometheusSettings(url)).days(START_S, START_S + DAY_S * 6)
    assert days == tuple(START_S + at * DAY_S for at in range(4))
    options = "--prometheus", url, "--now", str(START_S + DAY_S * 6)
    text = " ".join(ran("apis", *options, "--window", "2026-06", home=tmp_path).stdout.split())
    assert "Prometheus has metrics of a gateway on 4 of 6 days, from 2026-06-01 to 2026-06-04." in text
    none = " ".join(ran("apis", *options, "--window", "2026-04", home=tmp_path).stdout.split())
    assert "Prometheus has no metrics of a gateway on any of the 30 days, so use on these days is unknown." in none


def test_the_command_prices_tokens_by_the_table_and_says_what_has_no_price(url, tmp_path):
    options = "--prometheus", url, "--window", "2026-06", "--now", str(START_S + DAY_S * 7 // 2), "--by", "model"
    plain = ran("apis", *options, home=tmp_path)
    assert plain.returncode == 0, plain.stderr
    text = " ".join(plain.stdout.split())
    assert "$126" in text
    assert "[red]m[/red] no price" in text
    assert "tokens have no price in finops.api_prices" in text
    config = tmp_path / "gpuwise.yaml"
    config.write_text('finops: {api_prices: {"[red]m[/red]": {input_usd: 2, output_usd: 10}}}')
    priced = json.loads(ran("apis", *options, "--config", str(config), "-o", "json", home=tmp_path).stdout)
    by_model = {one["keys"][0]: one for one in priced}
    assert by_model["[red]m[/red]"]["usd"] == pytest.approx(2 * 7 + 10 * 3.5, rel=0.01)


def test_without_a_gateway_or_a_server_it_says_so(start_prometheus, tmp_path):
    now = "--now", str(START_S + DAY_S)
    none = ran("apis", "--prometheus", start_prometheus(), *now, home=tmp_path)
    assert (none.returncode, "No gateway has counted" in none.stdout) == (0, True)
    missing = ran("apis", *now, home=tmp_path)
    assert (missing.returncode, "--prometheus URL" in missing.stderr) == (1, True)
