"""`pipeline check`: what it says of files, what it proposes, and how it ends."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from sources import read_source
from tests.cli.terminals import SCHEMAS
from tests.sources.week import PRICES, formats, week

HEADER = "transaction_id,customer_id,product_id,quantity,transaction_date,status\n"
GOOD = HEADER + "T1,C1,P100,2,2023-03-15 10:00:00,completed\nT2,C2,P200,1,2023-03-15,pending\n"
PRODUCTS = "product_id,product_name,category,price,supplier_id\nP1,Tea,Tea,12.50,S1\nP2,Mug,Mugs,4.00,S1\n"
SHOPIFY_PRODUCTS = "Title,Vendor,Type,Variant SKU,Variant Price\nTea,V,Tea,P1,12.50\nMug,V,Mugs,P2,4.000\n"
GERMAN_NUMBERS = {"decimal_comma": True, "thousands_separator": "."}
FRENCH = {"decimal_comma": True, "thousands_separator": " "}
NAME = "transactions_2023-03-15.csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dim_products.csv").write_text(
        "product_id,product_name,category,price,supplier_id\n"
        + "".join(f"{key},Tea,Tea,{price},S1\n" for key, price in PRICES.items())
    )
    (tmp_path / "dim_customers.csv").write_text(
        "customer_id,first_name,last_name,email,membership_level\nC1,Ann,One,,\nC2,Ben,Two,,\n"
    )
    return tmp_path


def check(folder: Path, content: str | bytes, *options: str, name: str = NAME) -> Result:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return CliRunner().invoke(app, ["check", str(path), *options])


def as_json(result: Result) -> dict[str, object]:
    document = json.loads(result.stdout)
    jsonschema.validate(document, {"$ref": "#/$defs/check", "$defs": SCHEMAS["$defs"]})
    (checked,) = document
    assert isinstance(checked, dict)
    return checked


def with_dimensions(folder: Path) -> tuple[str, ...]:
    return ("--products", str(folder / "dim_products.csv"), "--customers", str(folder / "dim_customers.csv"))


def test_a_damaged_gzip_file_is_refused_in_a_sentence(folder: Path) -> None:
    packed = gzip.compress(
        (HEADER + "".join(f"T{number},C1,P100,1,2023-03-15,shipped\n" for number in range(999))).encode()
    )
    for damaged in (packed[:-20], packed[:99] + b"\0" * 20 + packed[99:]):
        result = check(folder, damaged, name=f"{NAME}.gz")
        assert result.exit_code == 1
        assert "is not a whole gzip file" in result.stdout


def test_a_value_of_any_length_is_rejected_in_a_sentence(folder: Path) -> None:
    result = check(folder, GOOD + f"T3,C1,P100,{'1.' * 100_000},2023-03-15,pending\n")
    assert result.exit_code == 3
    assert "1 × invalid_quantity" in result.stdout


def test_ids_of_two_tills_are_named(folder: Path) -> None:
    harbour = "T1,C1,P100,1,2023-03-15 10:00:00,completed\n"
    result = check(folder, HEADER + harbour + "T1,C2,P200,1,2023-03-15 11:00:00,completed\n")
    assert "1 transaction_id names several customers or products" in result.stdout
    assert "T1 (lines 2 to 3)" in result.stdout
    assert "make transaction_id of several columns" in result.stdout


def test_a_good_file_ends_with_0_and_needs_no_warehouse(folder: Path) -> None:
    result = check(folder, GOOD, *with_dimensions(folder))
    assert (result.exit_code, result.stdout) == (
        0,
        f"{NAME} (transactions, source default)\n  2 rows: 2 accepted, 0 rejected\n",
    )


def test_ids_are_only_checked_where_they_are_given(folder: Path) -> None:
    unknown = GOOD.replace("P100", "P404").replace("C2", "C404")
    without = check(folder, unknown)
    assert without.exit_code == 0
    assert "note: product ids and prices are not checked: give --products" in without.stdout
    assert "note: customer ids are not checked: give --customers" in without.stdout
    checked = as_json(check(folder, unknown, "--json", "--max-reject-ratio", "1", *with_dimensions(folder)))
    assert (checked["outcome"], checked["rejected"], checked["notes"]) == ("look_at_rows", 2, [])
    assert checked["values"] == {"unknown_customer": {"C404": 1}, "unknown_product": {"P404": 1}}


def test_rejected_rows_end_with_3_and_show_the_words_found(folder: Path) -> None:
    result = check(folder, GOOD + "T3,C1,P100,1,2023-03-15,lost\nT4,C1,P100,0.5,2023-03-15,lost\n")
    assert result.exit_code == 3
    assert "  4 rows: 2 accepted, 2 rejected\n  2 × invalid_status: " in result.stdout
    assert "found: 'lost' (2)" in result.stdout
    assert "  1 × invalid_quantity: " in result.stdout


def test_too_many_rejected_rows_are_a_refusal_and_end_with_1(folder: Path) -> None:
    result = check(folder, HEADER + "T3,C1,P100,1,2023-03-15,lost\n")
    assert result.exit_code == 1
    assert "refused: 1 of 1 row is rejected, and max_reject_ratio allows 50.0%" in result.stdout
    assert check(folder, HEADER + "T3,C1,P100,1,2023-03-15,lost\n", "--max-reject-ratio", "1").exit_code == 3


def test_rows_that_repeat_another_need_a_look(folder: Path) -> None:
    result = check(folder, GOOD + "T1,C1,P100,2,2023-03-15 10:00:00,completed\n")
    assert (result.exit_code, "1 of the accepted rows repeat another row" in result.stdout) == (3, True)


@pytest.mark.parametrize("name", [name for name in formats() if name != "default"])
def test_the_preset_of_a_shop_systems_export_is_proposed(name: str, folder: Path) -> None:
    day, sales = next(week())
    preset = {"amazon": "amazon", "online-retail-ii": "online-retail-ii"}.get(name, name)
    checked = as_json(check(folder, formats()[name].write(sales), "--json", name=f"export_{day}.csv"))
    proposal = checked["proposal"]
    assert isinstance(proposal, dict)
    assert (checked["outcome"], proposal["source"]) == ("refused", preset)
    assert proposal["loaded"] > 0


def test_a_proposal_names_the_shop_system(folder: Path) -> None:
    day, sales = next(week())
    result = check(folder, formats()["shopify"].write(sales), name=f"orders_{day}.csv")
    said = f"proposal: it looks like Shopify's order export: `source: shopify`; then {len(sales)} of {len(sales)} rows"
    assert said in result.stdout


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (GOOD.replace(",", "|"), {"delimiter": "|"}),
        ("Orders report\n\n" + GOOD, {"skip_rows": 2}),
        (GOOD.replace("2023-03-15 10:00:00", "3/15/2023 8:26").replace("2023-03-15", "3/14/2023"), "month first"),
        *(
            (
                GOOD.replace("2023-03-15 10:00:00", written).replace("2023-03-15", written),
                {"date_formats": ["iso", form]},
            )
            for written, form in (("15-MAR-23", "%d-%b-%y"), ("Mar-15-23", "%b-%d-%y"))
        ),
        (GOOD.replace("2,2023", "-2,2023"), {"returns": "negative"}),
        (GOOD.replace(",", "^"), {"delimiter": "^"}),
        (GOOD.replace(",", "\x1e"), {"delimiter": "\x1e"}),
        (GOOD.replace(",2,2023", ',"1,234,567",2023'), {"thousands_separator": ","}),
        (GOOD.replace(",2,2023", ",1 200,2023").replace(",1,2023", ',"2,0",2023'), FRENCH),
        (GOOD.replace(",2,2023", ",1.234.567,2023"), {"decimal_comma": True, "thousands_separator": "."}),
        (GOOD.replace("T1", "Tö1").encode("mac_roman"), {"encoding": "mac_roman"}),
        (GOOD.replace("T1", "Tö1").replace(",", ";").encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
    ],
)
def test_the_setting_that_would_let_a_file_in_is_proposed(content: str | bytes, settings: object, folder: Path) -> None:
    proposal = as_json(check(folder, content, "--json"))["proposal"]
    assert isinstance(proposal, dict)
    if settings == "month first":
        settings = {"date_formats": ["iso", "%m/%d/%Y", "%m/%d/%Y %H:%M"]}
    assert proposal["loaded"] == 2
    assert (proposal["source"], proposal["settings"]) in [(None, settings), ("excel-german", {})]


@pytest.mark.parametrize(
    ("content", "proposal"),
    [
        (PRODUCTS.replace(",", ";"), {"delimiter": ";"}),
        (PRODUCTS.replace(",", "~"), {"delimiter": "~"}),
        ("Price list\n" + PRODUCTS, {"skip_rows": 1}),
        (PRODUCTS.replace(",", ";").replace(".", ","), {"delimiter": ";", "decimal_comma": True}),
        (PRODUCTS.replace("12.50", '"1,200.50"'), {"thousands_separator": ","}),
        (PRODUCTS.replace(",", ";").replace(".", ",").replace("12,", "1.200,"), {"delimiter": ";", **GERMAN_NUMBERS}),
        (PRODUCTS.replace(",", ";").replace("4.00", "4.000"), {"delimiter": ";", "thousands_separator": ","}),
        (PRODUCTS.replace(",", ";").replace("12.50", "4").replace("4.00", "4.000"), None),
        (PRODUCTS.replace("12.50", "$12.50"), None),
        (SHOPIFY_PRODUCTS, "shopify"),
    ],
)
def test_settings_are_proposed_for_a_price_list(content: str, proposal: object, folder: Path) -> None:
    checked = as_json(check(folder, content, "--json", name="dim_products.csv"))
    assert checked["outcome"] == "refused"
    if proposal is None:
        assert checked["proposal"] is None
    elif proposal == "shopify":
        assert checked["proposal"] == {"source": "shopify", "settings": {}, "loaded": 2}
    else:
        assert checked["proposal"] == {"source": None, "settings": proposal, "loaded": 2}


def test_a_price_list_with_the_contracts_id_shows_no_shop_system(folder: Path) -> None:
    """It has Shopify's headings too, but its product_id is not the SKU."""
    content = "product_id,Title,Type,Variant Price,Vendor,Variant SKU\nP100,Tea,,4.00,S1,T-1\nP200,Mug,,12.50,S1,M-1\n"
    proposal = as_json(check(folder, content, "--json", name="dim_products.csv"))["proposal"]
    headings = {"product_name": "Title", "category": "Type", "price": "Variant Price", "supplier_id": "Vendor"}
    assert proposal == {"source": None, "settings": {"products": headings}, "loaded": 2}


def test_the_settings_of_a_file_of_customers_are_proposed(folder: Path) -> None:
    header = "customer_id;first_name;last_name;email;membership_level\n"
    content = f"{header}C1;Ann;One;ann@example.com;Gold\n"
    checked = as_json(check(folder, content, "--json", name="dim_customers.csv"))
    assert checked["proposal"] == {"source": None, "settings": {"delimiter": ";"}, "loaded": 1}


GERMAN_PRICES = "Artikelnr.;Bezeichnung;Warengruppe;Stückpreis\nP1;Teekännchen;Küche;12,50\nP2;Kessel;Küche;1.234,50\n"
GERMAN_HEADINGS = {
    "product_id": "Artikelnr.",
    "product_name": "Bezeichnung",
    "category": "Warengruppe",
    "price": "Stückpreis",
    "supplier_id": [],
}


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        (
            "dim_products.csv",
            "SKU,Name,Category,Regular price,Stock\nP1,Tea,Tea,12.50,7\nP2,Mug,Mugs,4.00,0\n",
            {"products": {"product_id": "SKU", "product_name": "Name", "price": "Regular price", "supplier_id": []}},
        ),
        (
            "dim_products.csv",
            GERMAN_PRICES.encode("cp1252"),
            {"delimiter": ";", "encoding": "cp1252", "products": GERMAN_HEADINGS, **GERMAN_NUMBERS},
        ),
        (
            "dim_customers.csv",
            "Customers\nCustomer No.,First name,Surname,E-mail address\n1,Ann,One,\n2,Ben,Two,\n",
            {
                "skip_rows": 1,
                "customers": {
                    "customer_id": "Customer No.",
                    "last_name": "Surname",
                    "email": "E-mail address",
                    "membership_level": [],
                },
            },
        ),
        (
            "dim_customers.csv",
            "customer_id,first_name,last_name,email\nC1,Ann,One,a@example.com\nC2,Ben,Two,\n",
            {"customers": {"membership_level": []}},
        ),
        (
            NAME,
            "Order ID,Customer,SKU,Qty,Order date,Order status\n1,C1,P100,1,2023-03-15,pending\n"
            "2,C1,P100,1,2023-03-15,paid\n3,C1,P100,1,2023-03-15,completed\n",
            {
                "columns": {
                    "transaction_id": "Order ID",
                    "customer_id": "Customer",
                    "product_id": "SKU",
                    "quantity": "Qty",
                    "transaction_date": "Order date",
                    "status": "Order status",
                }
            },
        ),
        # Two headings may be the product's id, and none the price.
        ("dim_products.csv", "SKU,Article number,Name,Price\nP1,1,Tea,12.50\nP2,2,Mug,4.00\n", None),
        ("dim_products.csv", "SKU,Name,Cost\nP1,Tea,12.50\nP2,Mug,4.00\n", None),
    ],
)
def test_the_headings_of_an_unknown_shop_are_proposed(
    name: str, content: str | bytes, settings: object, folder: Path
) -> None:
    proposal = as_json(check(folder, content, "--json", name=name))["proposal"]
    assert proposal == (settings and {"source": None, "settings": settings, "loaded": 2})


@pytest.mark.parametrize("blanks", [0, 1])
def test_a_long_file_of_utf_8_gets_no_other_encoding(blanks: int, folder: Path) -> None:
    content = f"{' ' * blanks}{HEADER.strip()},note\nT1,C1,P100,1,2023-03-15,completed,{'ä' * 200_000}\n"
    proposal = as_json(check(folder, content.replace(",", "|"), "--json"))["proposal"]
    assert proposal == {"source": None, "settings": {"delimiter": "|"}, "loaded": 1}


def test_numbers_with_two_meanings_are_not_guessed(folder: Path) -> None:
    source = folder / "shop.yaml"
    source.write_text("unit_price: column price\n")
    content = f"{HEADER.strip()},price\nT1,C1,P100,1,2023-03-15,completed,{{}}\nT2,C1,P100,1,2023-03-15,pending,5\n"
    result = check(folder, content.format("1.000"), "--source", str(source))
    assert "proposal:" not in result.stdout
    assert "no proposal for the numbers: '1.000' has two meanings; set `thousands_separator" in result.stdout
    beside = content.format("1.000").replace("pending,5", "pending,12.50")
    proposal = as_json(check(folder, beside, "--json", "--source", str(source)))["proposal"]
    assert proposal == {"source": None, "settings": {"thousands_separator": ","}, "loaded": 2}
    result = check(folder, content.format("$12.50"), "--source", str(source))
    assert "without a currency" in result.stdout
    assert "found: '$12.50' (1)" in result.stdout


def test_a_declared_form_of_numbers_that_fits_is_kept(folder: Path) -> None:
    source = folder / "shop.yaml"
    source.write_text(json.dumps({"delimiter": ";", **GERMAN_NUMBERS}))
    tabs = GOOD.replace(",", "\t")
    proposal = as_json(check(folder, tabs, "--json", "--source", str(source)))["proposal"]
    assert proposal == {"source": None, "settings": {"delimiter": "\t"}, "loaded": 2}
    points = GOOD.replace(",", ";").replace(";2;2023", ";2.0;2023")
    proposal = as_json(check(folder, points, "--json", "--source", str(source)))["proposal"]
    assert proposal == {"source": None, "settings": {"decimal_comma": False, "thousands_separator": ""}, "loaded": 2}


def test_quotes_escaped_by_spark_are_proposed_as_such(folder: Path) -> None:
    noted = (
        HEADER.strip() + ',note\nT1,C1,P100,1,2023-03-15,completed,"vinyl 12\\""\nT2,C1,P100,1,2023-03-15,completed,\n'
    )
    proposal = as_json(check(folder, noted, "--json"))["proposal"]
    assert proposal == {"source": None, "settings": {"escape": "\\"}, "loaded": 2}


def test_a_setting_that_lets_no_more_rows_in_is_not_proposed(folder: Path) -> None:
    short = GOOD + 'T3,C1\nT4,C1,"a\\"\n'
    checked = as_json(check(folder, short, "--json"))
    assert (checked["rejected"], checked["proposal"]) == (2, None)


def test_a_proposed_setting_does_what_it_says(folder: Path) -> None:
    content = "Orders report\n" + GOOD.replace(",", "\t").replace("2023-03-15 10:00:00", "15.3.2023 8:26")
    proposal = as_json(check(folder, content, "--json"))["proposal"]
    assert isinstance(proposal, dict)
    (folder / "shop.yaml").write_text(json.dumps(proposal["settings"]))
    assert check(folder, content, "--source", str(folder / "shop.yaml")).exit_code == 0


def test_dates_with_two_readings_are_not_guessed(folder: Path) -> None:
    result = check(folder, GOOD.replace("2023-03-15 10:00:00", "03/04/2023").replace("2023-03-15", "05/01/2023"))
    assert "proposal:" not in result.stdout
    assert "can be read as %d/%m/%Y and as %m/%d/%Y; set date_formats to one" in result.stdout


def test_the_day_comes_from_the_option_the_folders_or_the_name(folder: Path) -> None:
    tomorrow = GOOD.replace("2023-03-15", "2023-03-16")
    assert check(folder, tomorrow).exit_code == 1
    assert check(folder, tomorrow, "--day", "2023-03-16", name="till.csv").exit_code == 0
    assert check(folder, tomorrow, name="year=2023/month=3/day=16/till.csv").exit_code == 0
    assert "give --day YYYY-MM-DD" in check(folder, GOOD, name="till.csv").stdout


def test_dimensions_are_checked_as_they_would_be_loaded(folder: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(folder / "dim_products.csv")])
    assert (result.exit_code, "3 rows: 3 accepted" in result.stdout) == (0, True)
    broken = "product_id,product_name,category,price,supplier_id\nP1,Tea,Tea,free,S1\n"
    result = check(folder, broken, name="dim_products_new.csv")
    assert (result.exit_code, "refused: " in result.stdout, "'free'" in result.stdout) == (1, True, True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing.csv"], "missing.csv is not a file"),
        ([NAME, "--source", "shopfy"], "do you mean 'shopify'?"),
        ([NAME, "--day", "2023-02-30"], "2023-02-30 is not a day of the calendar"),
        ([NAME, "--products", "missing.csv"], "missing.csv is not a file"),
        ([NAME, "--products", NAME], "lacks"),
    ],
)
def test_wrong_use_ends_with_2_and_a_sentence(
    arguments: list[str], sentence: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / NAME).write_text(GOOD)
    result = CliRunner().invoke(app, ["check", *arguments])
    assert (result.exit_code, sentence in result.stderr) == (2, True)


def test_several_files_end_with_the_worst(folder: Path) -> None:
    (folder / "a_2023-03-15.csv").write_text(GOOD)
    (folder / "b_2023-03-15.csv").write_text("nothing\n")
    result = CliRunner().invoke(app, ["check", str(folder / "a_2023-03-15.csv"), str(folder / "b_2023-03-15.csv")])
    assert result.exit_code == 1
    assert result.stdout.count("(transactions, source default)") == 2


def test_every_preset_has_a_title() -> None:
    from cli.check.proposals import TITLES
    from sources import known_sources

    assert sorted([*TITLES, "default"]) == sorted(known_sources())
    assert all(read_source(name).name == name for name in TITLES)
