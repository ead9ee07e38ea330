"""The one parser of a source's settings: what it refuses, in which words, and what it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given

from schemas.sources import DEFAULT, InvalidSource, SourceSettings, heading_key
from sources import SOURCES, known_sources, read_source
from tests.sources.settings import settings_mappings

PRESETS = (
    "default",
    "amazon",
    "amazon-all-orders",
    "excel-german",
    "magento",
    "online-retail-ii",
    "shopify",
    "square",
    "woocommerce",
)


def _fault(mapping: object) -> str:
    with pytest.raises(InvalidSource) as refused:
        SourceSettings.parse(mapping)
    (fault,) = refused.value.faults
    assert str(refused.value) == f"the source settings 'default' cannot be used: {fault}"
    return fault


def test_no_settings_are_the_contract() -> None:
    assert SourceSettings.parse({}) == DEFAULT == read_source("default")


def test_default_yaml_names_every_setting() -> None:
    written = yaml.safe_load((SOURCES / "default.yaml").read_text(encoding="utf-8"))
    assert {*written, "name"} == {*DEFAULT.__dataclass_fields__}


def test_every_preset_is_read_and_bears_its_name() -> None:
    assert tuple(known_sources()) == PRESETS
    assert [read_source(name).name for name in PRESETS] == list(PRESETS)


@given(settings_mappings())
def test_settings_survive_the_way_to_the_job(mapping: Mapping[str, Any]) -> None:
    settings = SourceSettings.parse(mapping, name="shop")
    assert SourceSettings.from_argument(settings.to_argument()) == settings
    assert SourceSettings.from_json(settings.to_json()).to_json() == settings.to_json()
    assert SourceSettings.parse(settings.to_mapping()) == settings


@pytest.mark.parametrize(
    ("mapping", "fault"),
    [
        ({"delimeter": ";"}, "'delimeter' is no setting; do you mean 'delimiter'?"),
        ({1: 2}, "1 is no setting; known are name, columns, products, customers, fill_down,"),
        ({"delimiter": ";;"}, "delimiter is ';;', but must be one character that is no letter, digit or line break"),
        ({"delimiter": "x"}, "delimiter is 'x', but must be one character"),
        ({"delimiter": "\n"}, r"delimiter is '\n', but must be one character"),
        ({"delimiter": 9}, "delimiter is 9, but must be one character"),
        ({"delimiter": '"'}, "delimiter is '\"', but must differ from quote"),
        ({"delimiter": "\\", "escape": "\\"}, "delimiter is '\\\\', but must differ from escape"),
        ({"escape": '"'}, "escape is '\"', but must differ from quote; leave it out where quotes are doubled"),
        ({"escape": "\\", "quote": ""}, "escape is '\\\\', but means nothing where quote is empty"),
        ({"encoding": "utf-7"}, "encoding is 'utf-7', but must be an encoding that Python knows and that holds ASCII"),
        ({"encoding": "cp037"}, "encoding is 'cp037', but must be"),
        ({"encoding": "rot13"}, "encoding is 'rot13', but must be"),
        ({"encoding": "unicode_escape"}, "encoding is 'unicode_escape', but must be"),
        ({"encoding": "iso2022_jp"}, "encoding is 'iso2022_jp', but must be"),
        ({"encoding": "ebcdic\0"}, "encoding is 'ebcdic\\x00', but must be"),
        ({"encoding": 1252}, "encoding is 1252, but must be a text; put it in quotes"),
        ({"skip_rows": -1}, "skip_rows is -1, but must be a whole number from 0 to 1000"),
        ({"skip_rows": True}, "skip_rows is True, but must be a whole number"),
        ({"decimal_comma": "yes"}, "decimal_comma is 'yes', but must be true or false"),
        ({"thousands_separator": "."}, "thousands_separator is '.', which is the decimal mark already"),
        (
            {"decimal_comma": True, "thousands_separator": ","},
            "thousands_separator is ',', which is the decimal mark already",
        ),
        ({"thousands_separator": "x"}, "thousands_separator is 'x', but must be one of '', ',', '.', \"'\", ' '"),
        ({"date_formats": []}, "date_formats is [], but must be a list of at least one format"),
        ({"date_formats": "%Y"}, "date_formats is '%Y', but must be a list of texts"),
        ({"date_formats": ["%d.%m."]}, "date_formats is '%d.%m.', but must be a format with year, month and day"),
        ({"date_formats": ["%d.%m.%Y %I:%M"]}, "date_formats is '%d.%m.%Y %I:%M', but must be a format with"),
        ({"date_formats": ["%d.%m.%Y %M"]}, "date_formats is '%d.%m.%Y %M', but must be a format with"),
        ({"date_formats": ["%d.%m.%Y %d"]}, "date_formats is '%d.%m.%Y %d', but must be a format with"),
        ({"date_formats": ["%Q.%m.%Y"]}, "date_formats is '%Q.%m.%Y', but must be made of %Y %y %m"),
        ({"date_formats": ["dd.mm.yyyy"]}, "date_formats is 'dd.mm.yyyy', but must be a format with"),
        ({"time_zone": "Berlin"}, "time_zone is 'Berlin', but must be UTC or a name of the time zone database"),
        ({"time_zone": "Europe/Berln"}, "time_zone is 'Europe/Berln', but must be"),
        ({"time_zone": "../../etc/localtime"}, "time_zone is '../../etc/localtime', but must be"),
        ({"statuses": {"paid": "payed"}}, "statuses is {'paid': 'payed'}, but must be words, each with one of pending"),
        ({"statuses": {True: "completed"}}, "statuses is True, but must be a text; put it in quotes"),
        ({"statuses": {"Paid": "completed", "paid": "pending"}}, "but must be one status a word, and 'paid' is compl"),
        ({"status_ranks": ["pending"]}, "status_ranks is ['pending'], but must be each of pending, processing"),
        ({"null_words": [None]}, "null_words is None, but must be a text; put it in quotes"),
        ({"guest_customer": "x" * 65}, "but must be at most 64 bytes"),
        ({"null_words": ["\ud83d"]}, "but must be a text of whole characters"),
        ({"delimiter": "\ud83d"}, "but must be a text of whole characters"),
        ({"guest_customer": 0}, "guest_customer is 0, but must be a text"),
        ({"earliest_day": "2020-02-30"}, "earliest_day is '2020-02-30', but must be a day, YYYY-MM-DD"),
        ({"returns": "allow"}, "returns is 'allow', but must be one of 'reject', 'negative'"),
        ({"unit_price": "Price"}, "unit_price is 'Price', but must be 'list', or 'column ' and a heading"),
        ({"unit_price": "column "}, "unit_price is 'column ', but must be"),
        ({"columns": {"stauts": "x"}}, "do you mean 'status'?"),
        ({"columns": {"status": None}}, "columns is None, but must be a list of texts"),
        ({"columns": {"status": "-"}}, "columns is '-', but must be a heading"),
        ({"columns": {"transaction_id": ["A", "a"]}}, "but must be different headings"),
        ({"columns": {"quantity": []}}, "columns: quantity has no heading, but only customer_id and status"),
        ({"columns": {"quantity": ["a", "b"]}}, "columns: quantity has 2 headings, but must have one"),
        ({"columns": {"transaction_id": ["<line>", "a"]}}, "columns: <line> may only be used in transaction_id, after"),
        ({"columns": {"product_id": "<line>"}}, "columns: <line> may only be used in transaction_id, after"),
        ({"columns": {"status": []}}, 'columns: status has no heading, so statuses must say what "" means'),
        (
            {"columns": {"customer_id": []}},
            "columns: customer_id has no heading, so guest_customer must name the customer",
        ),
        ({"products": {"price": []}}, "products: price has no heading, but every row must have one"),
        ({"customers": {"email": ["A", "B"]}}, "customers: email is A, B, but must be one heading"),
        ({"products": {"product_id": "<line>"}}, "products: product_id is <line>, but must be one heading"),
        ({"customers": {"e-mail": "A"}}, "customers is 'e-mail', but must be made of customer_id, first_name"),
        ({"fill_down": ["Emial"], "columns": {"customer_id": "Email"}}, "do you mean 'Email'?"),
        ({"name": "My shop"}, "name is 'My shop', but must be small letters, digits and hyphens"),
        ([], "they are [], but must be keys with their values"),
        (None, "they are None, but must be keys with their values"),
    ],
)
def test_a_wrong_setting_is_one_sentence(mapping: object, fault: str) -> None:
    assert fault in _fault(mapping)


def test_all_faults_are_reported_at_once() -> None:
    with pytest.raises(InvalidSource) as refused:
        SourceSettings.parse({"delimiter": "ab", "skip_rows": -1, "colour": "red"})
    assert len(refused.value.faults) == 3


@pytest.mark.parametrize(
    ("heading", "other"),
    [
        ("Transaction ID", "transaction_id"),
        ("Order #", "ORDER"),
        ("product-id", "ProductId"),
        ("\ufeffname", " Name "),
        ("Transaction.ID", "[transaction_id]"),
        ("`status`", "'Status'"),
        ("Status*", "status:"),
        ("\u200bid\u00ad", "ID"),
    ],
)
def test_spellings_of_a_heading_are_one(heading: str, other: str) -> None:
    assert heading_key(heading) == heading_key(other)


def test_the_earliest_day_is_twenty_years_before_the_drop() -> None:
    assert DEFAULT.first_plausible_day(date(2023, 3, 15)) == date(2003, 3, 15)
    assert DEFAULT.first_plausible_day(date(2024, 2, 29)) == date(2004, 2, 28)
    assert DEFAULT.first_plausible_day(date(10, 1, 1)) == date(1, 1, 1)
    chosen = SourceSettings.parse({"earliest_day": "2009-12-01"})
    assert chosen.first_plausible_day(date(2023, 3, 15)) == date(2009, 12, 1)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("delimiter: ;\ndelimiter: ','\n", "is not valid YAML: line 1: the key 'delimiter' is written twice"),
        ("delimiter: |\n  x\n 'a", "is not valid YAML"),
        ('quote: "\n', "is not valid YAML"),
        ("[1]: 2\n", "is not valid YAML"),
        ("- delimiter", "but must be keys with their values"),
        ("null_words: [NULL]\n", "null_words is None, but must be a text; put it in quotes"),
        ("statuses: {on: pending}\n", "statuses is True, but must be a text; put it in quotes"),
    ],
)
def test_what_yaml_makes_of_a_value_is_refused(content: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidSource) as refused:
        read_source(str(path))
    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InvalidSource, match=r"there is no sources/shopfy\.yaml; do you mean 'shopify'\?$"):
        read_source("shopfy")
    with pytest.raises(InvalidSource, match=r"there are default, amazon"):
        read_source("x")
    with pytest.raises(InvalidSource, match="cannot be read"):
        read_source(str(tmp_path / "none.yaml"))
    (tmp_path / "empty.yaml").write_text("")
    assert read_source(str(tmp_path / "empty.yaml")) == SourceSettings(name="empty")
