"""Twelve real-world files of different kinds through the whole local cloud: the mail and the table of each.

The files and their right outcomes are in tests/field. The expected words of the mails are here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.local_cloud import LocalCloud, Mail
from schemas.drops import Drop
from schemas.warehouse.tables import HISTORY
from tests.faults.model import rows_of
from tests.local.local_clouds import put, started

pytestmark = pytest.mark.flow
FIELD = Path(__file__).parents[1] / "field"
WAIT_SECONDS = 500.0


@dataclass(frozen=True)
class Case:
    name: str
    variant: int | None = None
    """The expectations under `also_with` that are used: those for the contract's own settings."""
    subject: str = ""
    words: tuple[str, ...] = ()
    """Texts that the mail must contain besides the reject reasons."""

    @property
    def file(self) -> Path:
        (file,) = (path for path in (FIELD / "cases" / self.name / "transactions").rglob("*") if path.is_file())
        return file

    @property
    def outcome(self) -> dict[str, Any]:
        expected = json.loads((FIELD / "cases" / self.name / "expected.json").read_text(encoding="utf-8"))
        chosen = expected if self.variant is None else expected["also_with"][self.variant]
        outcome: dict[str, Any] = chosen["files"][0]
        return outcome


FILES = (
    Case("14-us-evening-orders-written-in-utc", words=("4  in the file",)),
    Case("22-order-of-several-lines", variant=0, subject="NOT loaded: ", words=("3 of 4 rows", "conflicting_rows")),
    Case("27-ids-in-scientific-notation", subject="NOT loaded: ", words=("1.23457E+11",)),
    Case("28-null-written-as-a-word", subject="4 of 8 rows", words=("NULL", "missing_transaction_id")),
    Case("46-german-excel-export", variant=0, subject="NOT loaded: ", words=("encoding: cp1252", "a semicolon")),
    Case("48-unicode-text-of-excel", words=("2  in the file",)),
    Case("58-quotes-escaped-by-spark", subject="2 of 8 rows", words=("malformed_row: line 2",)),
    Case("65-workbook-renamed-to-csv", subject="NOT loaded: ", words=("save it as CSV",)),
    Case("66-gzip-without-its-ending", words=("2  in the file",)),
)
"""With three sequences below: prices that cannot be read, a customer who comes later, another tool's folders."""


@dataclass(frozen=True)
class Outcomes:
    """The final state of all drops."""

    mails: list[Mail]
    history: dict[str, dict[str, list[Any]]]
    """load_id -> transaction_id -> [product, quantity, status]: what the load staged."""
    drops: dict[str, Drop]
    """Name of a case -> its drop. For a sequence the name includes the number of the drop."""

    def mails_about(self, name: str) -> list[Mail]:
        return [mail for mail in self.mails if self.drops[name].load_id in mail.body]


def _drop_sequence(cloud: LocalCloud, name: str, numbers: tuple[int, ...]) -> dict[str, Drop]:
    """The drops of a sequence with these numbers, each under its own name."""
    dropped = {}
    for number in numbers:
        folder = FIELD / "sequences" / name / str(number)
        (file,) = (path for path in folder.rglob("*") if path.is_file())
        dropped[f"{name}/{number}"] = put(cloud, file.relative_to(folder).as_posix(), file.read_bytes())
    return dropped


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcomes]:
    """Upload the dimensions first, then everything else at once, then the customer who arrives later."""
    late = "81-customer-comes-a-day-later"
    with started(tmp_path_factory.mktemp("field")) as cloud:
        drops = _drop_sequence(cloud, late, (1, 2))
        cloud.wait_until_idle(WAIT_SECONDS)
        for case in FILES:
            key = case.file.as_posix().partition("/transactions/")[2]
            folder, _, file_name = key.rpartition("/")
            # Each gets its own name, because the files of all cases have the same one.
            drops[case.name] = put(cloud, f"transactions/{folder}/{case.name[:2]}-{file_name}", case.file.read_bytes())
        drops |= _drop_sequence(cloud, late, (3,))
        drops |= _drop_sequence(cloud, "74-prices-with-commas-and-signs", (3,))
        drops |= _drop_sequence(cloud, "89-temporary-files-of-spark", (3, 4, 5))
        drops |= _drop_sequence(cloud, "91-a-folder-per-hour", (3, 4, 5))
        cloud.wait_until_idle(WAIT_SECONDS)
        drops |= _drop_sequence(cloud, late, (4,))
        cloud.wait_until_idle(WAIT_SECONDS)
        history: dict[str, dict[str, list[Any]]] = {}
        for row in rows_of(cloud, HISTORY):
            values = [row[name] for name in ("product_id", "quantity", "status")]
            history.setdefault(row["load_id"], {})[row["transaction_id"]] = values
        yield Outcomes(cloud.mails(), history, drops)


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_mail_and_table_say_what_is_right(outcomes: Outcomes, case: Case) -> None:
    outcome = case.outcome
    (mail,) = outcomes.mails_about(case.name)
    assert case.subject in mail.subject
    reasons = {reason for reasons in outcome.get("rejected", {}).values() for reason in reasons}
    missing = [words for words in (*case.words, *reasons, *outcome.get("refused", ())) if words not in mail.body]
    assert missing == [], mail.body
    loaded = outcomes.history.get(outcomes.drops[case.name].load_id, {})
    assert loaded == outcome.get("accepted", {})


def test_prices_that_cannot_be_read_are_mailed_with_the_form_wanted(outcomes: Outcomes) -> None:
    (mail,) = outcomes.mails_about("74-prices-with-commas-and-signs/3")
    assert "NOT loaded: " in mail.subject
    assert "line 2: price '1,299.00' is not a decimal number from 0 up with at most 4 decimals" in mail.body


def test_a_sale_flows_in_when_its_customer_comes(outcomes: Outcomes) -> None:
    day = "81-customer-comes-a-day-later/3"
    first, second = outcomes.mails_about(day)
    assert "1 of 3 rows" in first.subject
    assert "1 waiting row loaded" in second.subject
    assert sorted(outcomes.history[outcomes.drops[day].load_id]) == ["T1", "T2", "T3"]


def test_folders_of_other_tools_are_ignored_or_mailed_once(outcomes: Outcomes) -> None:
    outside = [mail for mail in outcomes.mails if "outside the layout" in mail.subject]
    keys = sorted(outcomes.drops[f"91-a-folder-per-hour/{number}"].key for number in (3, 4, 5))
    assert sorted(key for mail in outside for key in keys if key in mail.body) == keys
    assert len(outside) == len(keys)
    assert all("transactions/year=YYYY/month=MM/day=DD/NAME.csv" in mail.body for mail in outside)
    assert not [mail for mail in outcomes.mails if "_temporary" in mail.body or "spark-staging" in mail.body]
