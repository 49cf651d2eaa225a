"""The catalogue of the clouds, discounts, currencies, YAML price files, and hardware of one's own."""

import csv
import re
from pathlib import Path

import pytest
from tests.conftest import REPOSITORY
from tests.finops.test_report import node, week

from gpuwise.config import load
from gpuwise.finops.notes import notes_of
from gpuwise.model.errors import InputError
from gpuwise.model.gpu import named
from gpuwise.model.inventory import CapacityType
from gpuwise.model.price import PriceBook
from gpuwise.model.pricing import OnPremises, PricingSettings
from gpuwise.sources.catalogue import CLOUDS, read_catalogue
from gpuwise.sources.dates import date_s
from gpuwise.sources.prices import read_prices
from gpuwise.sources.rates import read_rates

SPOT, ON_DEMAND, RESERVED = CapacityType.SPOT, CapacityType.ON_DEMAND, CapacityType.RESERVED
CATALOGUE = REPOSITORY / "src/gpuwise/sources/catalogue.csv"
SERVER = {"gpu_type": "H100-80GB", "gpus": 8, "purchase_usd": 280_320.0, "years": 4}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_each_line_of_the_catalogue_is_plausible_and_names_date_and_source():
    found = list(read_catalogue())
    assert {one.cloud for one in found} == set(CLOUDS)
    assert len({(one.region, one.gpu_type) for one in found}) == len(found) > 300
    for one in found:
        assert named(one.gpu_type)
        assert 0.3 < one.on_demand < 60
        for lower in (one.spot, one.commit_1y, one.commit_3y):
            assert lower is None or 0.0 < lower < one.on_demand
        assert one.commit_3y is None or one.commit_1y is None or one.commit_3y < one.commit_1y
        assert (one.spot is None) == (one.spot_as_of_s is None)
    with CATALOGUE.open() as lines:
        for row in csv.DictReader(lines):
            assert re.fullmatch(r"202[56]-\d{2}-\d{2}", row["as_of"])
            assert f"`{row['source']}`" in (REPOSITORY / "docs/prices.md").read_text()
    assert CATALOGUE.stat().st_size < 300_000


def test_no_region_belongs_to_two_clouds():
    clouds: dict[str, str] = {}
    for one in read_catalogue():
        assert clouds.setdefault(one.region, one.cloud) == one.cloud


def test_without_a_file_a_region_has_its_own_price_and_another_place_that_of_the_shipped_list():
    book = read_prices(None)
    listed = {(one.region, one.gpu_type): one for one in read_catalogue()}
    for region in ("us-east-1", "eu-west-2", "us-central1"):
        assert book.price("L4", ON_DEMAND, region=region) == listed[region, "L4"].on_demand
    assert book.price("L4", RESERVED, region="us-central1") == listed["us-central1", "L4"].commit_1y == 0.6303
    assert book.price("L4", SPOT, region="us-central1", zone="us-central1-a") == 0.5624
    for region in (None, "my-own-dc"):
        assert book.price("L4", ON_DEMAND, region=region) == 1.6688
    # In the region of the shipped list both agree.
    for (gpu_type, kind), usd in book.usd_per_gpu_h.items():
        if ("us-east-1", gpu_type) in listed and kind is not RESERVED:
            assert book.price(gpu_type, kind, region="us-east-1") == usd


def test_a_users_file_has_no_price_of_the_catalogue(tmp_path):
    path = written(tmp_path, "p.csv", "gpu_type,capacity_type,usd_per_gpu_h\nL4,on-demand,0.5\n")
    assert read_prices(path).price("L4", ON_DEMAND, region="us-central1") == 0.5


def test_the_most_specific_discount_counts_alone(tmp_path):
    text = "gpu_type,capacity_type,usd_per_gpu_h,region\n"
    text += "".join(f"{gpu},{kind},10,\n" for gpu in ("L4", "T4") for kind in CapacityType) + "L4,spot,8,eu\n"
    shares = {"all": 0.1, "spot": 0.2, "L4": 0.3, "L4/spot": 0.5}
    book = read_prices(written(tmp_path, "p.csv", text), pricing=PricingSettings(discounts=shares))
    found = {key: round(usd, 9) for key, usd in book.usd_per_gpu_h.items()}
    assert found == {
        ("L4", ON_DEMAND): 7.0, ("L4", SPOT): 5.0, ("L4", RESERVED): 7.0,
        ("T4", ON_DEMAND): 9.0, ("T4", SPOT): 8.0, ("T4", RESERVED): 9.0,
    }  # fmt: skip
    assert book.price("L4", SPOT, region="eu") == 4.0


@pytest.mark.parametrize(
    ("discounts", "problem"),
    [({"H900": 0.1}, "'H900' is not known"), ({"all": 1.0}, "all is 1.0"), ({"L4": -0.1}, "L4 is -0.1"),
     ({"all": float("nan")}, "all is nan")],
)  # fmt: skip
def test_a_discount_that_cannot_be_is_an_error(discounts, problem):
    with pytest.raises(InputError, match=re.escape(f"pricing.discounts: {problem}")) as raised:
        read_prices(None, pricing=PricingSettings(discounts=discounts))
    assert raised.value.hint


RATES = "currency,rate,date\nEUR,1.05,2026-01-01\nEUR,1.10,2026-11-01\nEUR,9,2027-01-01\nGBP,1.3,2026-06\n"
EUROS = "gpu_type,capacity_type,price_per_gpu_h,currency\nL4,on-demand,2,EUR\nT4,on-demand,1,\nT4,spot,0.5,usd\n"


def test_a_price_in_euros_is_converted_by_the_newest_rate_that_is_not_in_the_future(tmp_path):
    prices, rates = written(tmp_path, "p.csv", EUROS), written(tmp_path, "rates.csv", RATES)
    for now, usd in (("2026-02-01", 2.1), ("2026-11-27", 2.2), ("2027-02-01", 18.0)):
        book = read_prices(prices, rates=rates, now_s=date_s(now))
        assert book.price("L4", None) == pytest.approx(usd)
    assert (book.price("T4", None), book.price("T4", SPOT)) == (1.0, 0.5)
    assert read_rates(rates, date_s("2026-05-01")) == {"USD": 1.0, "EUR": 1.05}


def test_a_currency_without_a_rate_is_an_error_that_names_it(tmp_path):
    prices, rates = written(tmp_path, "p.csv", EUROS), written(tmp_path, "rates.csv", RATES)
    for given, now in ((None, "2026-11-27"), (rates, "2025-12-31")):
        with pytest.raises(InputError, match=r"p\.csv, line 2: there is no exchange rate of EUR"):
            read_prices(prices, rates=given, now_s=date_s(now))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("euro,1,2026-01-01", "currency is 'euro'"),
        ("EUR,0,2026-01-01", "rate is '0'"),
        ("EUR,1,yesterday", "date is 'yesterday'"),
        ("EUR,1,2026-01-01\nEUR,2,2026-01-01", "line 3: date is '2026-01-01'"),
    ],
)
def test_a_rate_that_cannot_be_read_is_an_error_with_line_and_field(tmp_path, line, problem):
    with pytest.raises(InputError, match=re.escape(problem)):
        read_rates(written(tmp_path, "r.csv", f"currency,rate,date\n{line}\n"), None)


def test_a_price_file_may_be_yaml(tmp_path):
    text = """
- {gpu_type: H100-80GB, capacity_type: on-demand, usd_per_gpu_h: 5.16, as_of: 2026-10-01}
- {gpu_type: H100-80GB, capacity_type: spot, usd_per_gpu_h: 2, region: us-east-1}
"""
    book = read_prices(written(tmp_path, "p.yaml", text))
    assert book.price("H100-80GB", None) == 5.16
    assert book.price("H100-80GB", SPOT, region="us-east-1") == 2.0
    assert book.as_of_s == {("H100-80GB", ON_DEMAND, "", ""): date_s("2026-10-01")}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gpu_type: L4", "is not a list of prices"),
        ("- {gpu_type: L4", "is not valid YAML"),
        ("- {gpu_type: L4, capacity_type: spot}", "entry 1: usd_per_gpu_h is missing"),
        ("- {gpu_type: L4, usd_per_gpu_h: 1}", "entry 1: capacity_type is missing"),
        ("- {gpu_type: L5, capacity_type: spot, usd_per_gpu_h: 1}", "entry 1: gpu_type is 'L5'"),
        ("[]", "contains no price"),
    ],
)
def test_yaml_that_has_no_prices_is_an_error_with_its_entry(tmp_path, text, problem):
    with pytest.raises(InputError, match=re.escape(problem)) as raised:
        read_prices(written(tmp_path, "p.yml", text))
    assert raised.value.hint


def test_the_cost_of_a_server_is_that_of_a_computation_on_paper():
    # 280,320 / (4 x 8,760) = 8.00 an hour; 10.2 kW x 1.5 x 0.20 = 3.06; 730 x 12 / 8,760 = 1.00; 12.06 / 8 GPUs.
    server = OnPremises(**SERVER, power_kw=10.2, pue=1.5, usd_per_kwh=0.2, space_usd_month=730.0)
    assert server.usd_per_gpu_h == pytest.approx(12.06 / 8)
    half = OnPremises(**SERVER | {"residual_usd": 140_160.0})
    assert half.usd_per_gpu_h == pytest.approx(0.5)


def test_servers_of_ones_own_have_their_price_where_they_are(tmp_path):
    text = """
pricing:
  discounts: {all: 0.5}
  on_premises:
    dgx: {gpu_type: H100-80GB, gpus: 8, purchase_usd: 280320, years: 4}
    paris: {gpu_type: H100-80GB, gpus: 8, purchase_usd: 560640, years: 4, region: paris}
"""
    pricing = load(written(tmp_path, "c.yaml", text), {}, {}).pricing
    book = read_prices(None, pricing=pricing)
    for kind in (None, ON_DEMAND, RESERVED):
        assert book.price("H100-80GB", kind) == pytest.approx(1.0)
        assert book.price("H100-80GB", kind, region="paris") == pytest.approx(2.0)
    assert book.price("H100-80GB", ON_DEMAND, region="us-east-1") == pytest.approx(6.88 / 2)


@pytest.mark.parametrize(
    ("change", "problem"),
    [({"years": 0}, "years must be above 0"), ({"pue": 0.9}, "pue must be 1 or more"), ({"gpus": 0}, "gpus must be 1"),
     ({"residual_usd": 1e9}, "residual_usd must not exceed"), ({"power_kw": float("nan")}, "power_kw must be 0")],
)  # fmt: skip
def test_a_server_that_cannot_be_is_an_error(tmp_path, change, problem):
    with pytest.raises(ValueError, match=problem):
        OnPremises(**SERVER | change)


def test_a_server_in_the_configuration_that_cannot_be_is_an_error_that_names_it(tmp_path):
    text = "pricing: {on_premises: {dgx: {gpu_type: H100-80GB, gpus: 8, purchase_usd: 1, years: 0}}}"
    with pytest.raises(InputError, match=r"pricing\.on_premises\.dgx.*years must be above 0"):
        load(written(tmp_path, "c.yaml", text), {}, {})
    unknown = PricingSettings(on_premises={"dgx": OnPremises(**SERVER | {"gpu_type": "H900"})})
    with pytest.raises(InputError, match=r"pricing\.on_premises\.dgx\.gpu_type is 'H900'"):
        read_prices(None, pricing=unknown)
    twice = PricingSettings(on_premises={name: OnPremises(**SERVER) for name in ("a", "b")})
    with pytest.raises(InputError, match=r"pricing\.on_premises\.b: H100-80GB already has a price"):
        read_prices(None, pricing=twice)


@pytest.mark.parametrize(("days", "named_"), [(179, False), (181, True)])
def test_the_report_names_prices_that_are_old(days, named_):
    one = week([node("h0", "H100-80GB"), node("t", "T4")], [])
    key = ("H100-80GB", ON_DEMAND, "", "")
    book = PriceBook(one.prices.usd_per_gpu_h, "test", as_of_s={key: one.now_s - days * 86_400})
    aged = week([node("h0", "H100-80GB"), node("t", "T4")], [], prices=book)
    notes = [note for note in notes_of(aged, coverage=None, dropped=0) if note.startswith("Prices older")]
    assert bool(notes) is named_
    assert not named_ or "180 days: H100-80GB on-demand; the oldest is of 2026-" in notes[0]


def test_a_negative_age_is_an_error(tmp_path):
    with pytest.raises(InputError, match="stale_after_days must be 0 or more"):
        load(written(tmp_path, "c.yaml", "pricing: {stale_after_days: -1}"), {}, {})
