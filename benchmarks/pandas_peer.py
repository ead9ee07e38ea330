"""The same work in pandas: texts and decimals of Arrow, the whole file in memory, column by column."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.work import (
    AMOUNT_CLASSES,
    AROUND,
    COLUMNS,
    DATE_SPELLINGS,
    DROP_PRECEDENCE,
    FIRST_DAY,
    LOAD_ID,
    MOST_BYTES,
    NEXT_DAY,
    NEXT_NOON,
    NULL_WORD,
    ROUNDED_ID,
    SALE,
    SOURCE_URI,
    STAGED_COLUMNS,
    UTC_DATE,
    WHOLE,
    WITH_OFFSET,
    ZONED_DATE,
    Work,
)
from schemas.reject_reasons import REJECT_REASONS
from schemas.statuses import RANK_SLOTS, STATUS_RANK, WITHOUT_QUANTITY

_IDS = COLUMNS[:3]
_EVENT = ("transaction_id", "event_precedence")
_CONTEST = ("transaction_id", "event_precedence", "source_line")
_TOTAL_AMOUNT = pa.decimal128(18, 2)
_TOO_LARGE = pa.scalar(10**16, pa.decimal128(38, 2))


def run(work: Work, out: Path) -> int:
    products = pd.read_parquet(work.products, dtype_backend="pyarrow").rename(columns={"price": "unit_price"})
    customers = pd.read_parquet(work.customers, dtype_backend="pyarrow")
    source = _read_text(work.transactions, sep=",", names=[*COLUMNS, "overflow"])
    # Missing and empty fields are equal in it, so each line is read as one text, too.
    source["line"] = _read_text(work.transactions, sep="\x01", names=["line"])["line"]
    validated, rules = _validate(source, products, customers)
    keeps_all = pd.concat(rules, axis="columns").all(axis="columns")
    keeps_its_own = pd.concat(
        [rule for reason, rule in rules.items() if reason not in ("unknown_customer", "unknown_product")],
        axis="columns",
    ).all(axis="columns")
    rules["conflicting_rows"] = ~validated.index.isin(_conflicting(validated.loc[keeps_its_own, [*_EVENT, *SALE]]))
    keeps_all &= rules["conflicting_rows"]
    (out / "staged").mkdir()
    winners = validated.loc[keeps_all & ~validated.index.isin(_losers(validated.loc[keeps_all, list(_CONTEST)]))]
    winners = winners.assign(drop_precedence=DROP_PRECEDENCE, load_id=LOAD_ID, source_uri=SOURCE_URI)
    winners[list(STAGED_COLUMNS)].to_parquet(out / "staged" / "part.parquet", compression="snappy", index=False)
    _rejected(
        source, validated, {reason: rules[reason] for reason in REJECT_REASONS if reason in rules}, ~keeps_all
    ).to_csv(out / "rejected.csv", index=False)
    return len(source)


def _read_text(path: Path, *, sep: str, names: list[str]) -> pd.DataFrame:
    return pd.read_csv(
        path,
        sep=sep,
        header=None,
        skiprows=1,
        names=names,
        dtype="string[pyarrow]",
        keep_default_na=False,
        quoting=csv.QUOTE_NONE,
    )


def _validate(
    source: pd.DataFrame, products: pd.DataFrame, customers: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, pd.Series]]:
    """The staged columns, null where invalid, and for each reject reason a mask of the rows that keep its rule."""
    text = _text(source)
    rows = text[list(_IDS)].merge(products, how="left", on="product_id", validate="m:1", indicator="product")
    rows = rows.merge(customers, how="left", on="customer_id", validate="m:1", indicator="customer")
    whole = text["quantity"].where(text["quantity"].str.fullmatch(WHOLE[1:-1]))
    number = pd.to_numeric(whole.str.replace("[.]0*$", "", regex=True), errors="coerce")
    rows["quantity"] = number.where(number <= 2**31 - 1).astype("int32[pyarrow]")
    rows["transaction_date"] = _dates(text["transaction_date"])
    status = text["status"].str.lower()
    rank = status.map(STATUS_RANK)
    rows["status"] = status
    rows["total_amount"] = _total_amount(rows["quantity"], rows["unit_price"])
    rows["amount_class"] = _amount_class(rows["total_amount"])
    instant_utc = rows["transaction_date"].astype("int64[pyarrow]")
    rows["event_precedence"] = instant_utc * RANK_SLOTS + rank.astype("int64[pyarrow]")
    rows["source_line"] = pd.RangeIndex(2, len(rows) + 2).to_numpy()

    given = {name: text[name] != "" for name in _IDS}
    is_well_formed = source["line"].str.count(",") == len(COLUMNS) - 1
    amount_fits = rows["unit_price"].isna() | rows["total_amount"].notna()
    has_date = rows["transaction_date"].notna()
    is_late = text["transaction_date"] >= NEXT_DAY.isoformat()
    is_late_everywhere = rows["transaction_date"] >= pd.Timestamp(NEXT_NOON)
    is_future = is_late.where(~text["transaction_date"].str.contains(WITH_OFFSET), is_late_everywhere)
    is_over = (rows["quantity"] == 0) & status.isin(WITHOUT_QUANTITY)
    is_rounded = [text[name].str.contains(ROUNDED_ID) for name in _IDS]
    fits = [_bytes(text[name]) <= most for name, most in MOST_BYTES.items()]
    rules = {
        "missing_transaction_id": given["transaction_id"],
        "missing_customer_id": given["customer_id"],
        "missing_product_id": given["product_id"],
        "unknown_customer": (rows["customer"] == "both") | ~given["customer_id"],
        "unknown_product": (rows["product"] == "both") | ~given["product_id"],
        "invalid_quantity": ((rows["quantity"] >= 1) | is_over).fillna(False) & amount_fits,
        "invalid_transaction_date": has_date,
        "future_transaction_date": ~is_future.fillna(False) | ~has_date,
        "invalid_status": rank.notna(),
        "value_too_long": fits[0] & fits[1] & fits[2],
        "rounded_id": ~(is_rounded[0] | is_rounded[1] | is_rounded[2]),
        "too_early_transaction_date": (text["transaction_date"] >= FIRST_DAY) | ~has_date,
    }
    rules = {reason: (rule | ~is_well_formed).astype(bool) for reason, rule in rules.items()}
    return rows, {"malformed_row": is_well_formed.astype(bool), **rules}


def _text(source: pd.DataFrame) -> pd.DataFrame:
    """The trimmed values, with empty texts for null words in ids, and dates in one spelling."""
    text = pd.DataFrame({name: source[name].str.strip(AROUND) for name in COLUMNS})
    for name in _IDS:
        text[name] = text[name].mask(text[name].str.contains(NULL_WORD), "")
    for pattern, replacement in DATE_SPELLINGS:
        odd = text["transaction_date"].str.contains(pattern)
        changed = text.loc[odd, "transaction_date"].str.replace(pattern, replacement, regex=True)
        text.loc[odd, "transaction_date"] = changed
    return text


def _dates(text: pd.Series) -> pd.Series:
    """The dates in UTC, in microseconds; the parser gets only texts that the contract allows."""
    read = text.where(text.str.fullmatch(f"(?:{UTC_DATE})|(?:{ZONED_DATE})"))
    moments = pd.to_datetime(read, format="ISO8601", utc=True, errors="coerce")
    return moments.dt.tz_localize(None).astype("timestamp[us][pyarrow]")


def _total_amount(quantity: pd.Series, unit_price: pd.Series) -> pd.Series:
    """The exact amount; null where it does not fit."""
    exact = pc.multiply(_arrow(quantity).cast(pa.decimal128(10, 0)), _arrow(unit_price).cast(pa.decimal128(18, 4)))
    cents = pc.round(exact, 2, "half_up").cast(pa.decimal128(38, 2))
    fitting = pc.if_else(pc.less(cents, _TOO_LARGE), cents, pa.scalar(None, cents.type))
    return pd.Series(pd.array(fitting.cast(_TOTAL_AMOUNT), dtype=pd.ArrowDtype(_TOTAL_AMOUNT)), index=quantity.index)


def _amount_class(amount: pd.Series) -> pd.Series:
    (lowest, _), *higher = AMOUNT_CLASSES.items()
    classes = pd.Series(lowest, index=amount.index, dtype="string[pyarrow]")
    for label, bound in higher:
        classes = classes.mask((amount >= bound).fillna(False), label)
    return classes


def _bytes(text: pd.Series) -> pd.Series:
    return pd.Series(pc.binary_length(_arrow(text)).to_numpy(), index=text.index)


def _arrow(series: pd.Series) -> pa.ChunkedArray:
    return pa.chunked_array(series.array.__arrow_array__())


def _losers(accepted: pd.DataFrame) -> pd.Index:
    """All rows of each transaction_id except the winner; only ids that repeat are sorted."""
    contested = accepted[accepted["transaction_id"].duplicated(keep=False)]
    ordered = contested.sort_values(["event_precedence", "source_line"])
    return ordered.index[ordered["transaction_id"].duplicated(keep="last")]


def _conflicting(sound: pd.DataFrame) -> pd.Index:
    """All rows of events whose rows are different sales; only events that repeat are compared."""
    contested = sound[sound.duplicated(list(_EVENT), keep=False)]
    sales = contested.drop_duplicates([*_EVENT, *SALE])
    of_many = sales.loc[sales.duplicated(list(_EVENT), keep=False), list(_EVENT)].drop_duplicates()
    keys = pd.MultiIndex.from_frame(of_many)
    return contested.index[pd.MultiIndex.from_frame(contested[list(_EVENT)]).isin(keys)]


def _rejected(
    source: pd.DataFrame, validated: pd.DataFrame, rules: dict[str, pd.Series], is_rejected: pd.Series
) -> pd.DataFrame:
    """The rejected rows, unchanged, with all their reasons."""
    unchanged = source[is_rejected]
    reasons = pd.Series("", index=unchanged.index)
    for reason, rule in rules.items():
        is_broken = ~rule[is_rejected]
        reasons = reasons.mask(is_broken, reasons + ";" + reason)
    return unchanged[list(COLUMNS)].assign(
        source_line=validated["source_line"][is_rejected],
        reject_reasons=reasons.str.removeprefix(";"),
        source_text=unchanged["line"].where(~rules["malformed_row"][is_rejected]),
    )
