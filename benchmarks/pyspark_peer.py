"""The same work in PySpark on this machine's cores; an optional extra (requirements/spark.in, and a Java)."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

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
    WAITING,
    WHOLE,
    WITH_OFFSET,
    ZONED_DATE,
    Work,
)
from schemas.statuses import RANK_SLOTS, STATUSES, WITHOUT_QUANTITY

_ROWS_OF_A_PARTITION = 2**33
"""The distance between the first ids of two partitions in monotonically_increasing_id."""


def _session() -> SparkSession:
    cores = os.cpu_count() or 1
    return (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", 4 * cores)
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.ansi.enabled", "false")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .config("spark.ui.enabled", "false")
        .config("spark.log.level", "ERROR")
        .getOrCreate()
    )


# Started at import, like the other peers' libraries: a cluster would be running already.
SPARK = _session()


def run(work: Work, out: Path) -> int:
    lines = _lines(work.transactions)
    validated = _validate(lines, SPARK.read.parquet(str(work.products)), SPARK.read.parquet(str(work.customers)))
    validated = _without_conflicts(validated).withColumn("is_accepted", F.col("reject_reasons") == "").persist()
    rows_read = int(validated.count())
    latest = Window.partitionBy("transaction_id").orderBy(F.desc("event_precedence"), F.desc("source_line"))
    winners = validated.filter("is_accepted").withColumn("place", F.row_number().over(latest)).filter("place = 1")
    winners.select(*STAGED_COLUMNS).write.parquet(str(out / "staged"), compression="snappy")
    rejected = validated.filter("NOT is_accepted").orderBy("source_line")
    rejected.select(*(f"raw_{name}" for name in COLUMNS), "source_line", "reject_reasons", "source_text").coalesce(
        1
    ).write.csv(str(out / "rejected"), header=True, escape='"')
    # Spark chooses the names of its files.
    next((out / "rejected").glob("part-*.csv")).rename(out / "rejected.csv")
    return rows_read


def _lines(path: Path) -> DataFrame:
    """Each line except the header, with its number; the rows of each partition are counted first."""
    lines = SPARK.read.text(str(path), lineSep="\n").withColumn("id", F.monotonically_increasing_id())
    partition = F.shiftright("id", 33)
    counts = lines.groupBy(partition.alias("partition")).count().orderBy("partition").collect()
    first, starts = 1, {}
    for row in counts:
        starts[row["partition"]] = first
        first += row["count"]
    start = F.create_map(*(F.lit(value).cast("bigint") for pair in starts.items() for value in pair))[partition]
    numbered = lines.select("value", (start + F.col("id") % _ROWS_OF_A_PARTITION).alias("source_line"))
    return numbered.filter("source_line > 1")


def _validate(lines: DataFrame, products: DataFrame, customers: DataFrame) -> DataFrame:
    joined = (
        _typed(lines)
        .join(products.withColumn("has_product", F.lit(True)), "product_id", "left")
        .join(customers.withColumn("has_customer", F.lit(True)), "customer_id", "left")
        .withColumnRenamed("price", "unit_price")
        .withColumn(
            "total_amount",
            F.round(F.col("quantity").cast("decimal(10,0)") * F.col("unit_price"), 2).cast("decimal(18,2)"),
        )
    )
    rank = F.array_position(F.array(*map(F.lit, STATUSES)), F.col("status")) - 1
    amount_class: Column = F.lit(next(iter(AMOUNT_CLASSES)))
    for label, bound in list(AMOUNT_CLASSES.items())[1:]:
        amount_class = F.when(F.col("total_amount") >= F.lit(bound), F.lit(label)).otherwise(amount_class)
    return joined.select(
        "*",
        amount_class.alias("amount_class"),
        (F.unix_micros("transaction_date") * RANK_SLOTS + rank).alias("event_precedence"),
        F.lit(DROP_PRECEDENCE).alias("drop_precedence"),
        F.lit(LOAD_ID).alias("load_id"),
        F.lit(SOURCE_URI).alias("source_uri"),
        F.when(F.col("is_malformed"), F.lit("malformed_row")).otherwise(_reasons()).alias("reject_reasons"),
    )


def _typed(lines: DataFrame) -> DataFrame:
    fields = F.split("value", ",", -1)
    text = (
        lines.withColumn("fields", fields)
        .withColumn("is_malformed", F.size("fields") != len(COLUMNS))
        .select(
            "source_line",
            "is_malformed",
            F.when(F.col("is_malformed"), F.col("value")).alias("source_text"),
            *(
                F.coalesce(F.get("fields", F.lit(at)), F.lit("")).alias(f"raw_{name}")
                for at, name in enumerate(COLUMNS)
            ),
        )
    )
    trimmed = _trimmed(text)
    return trimmed.select(
        "source_line",
        "is_malformed",
        "source_text",
        *(f"raw_{name}" for name in COLUMNS),
        *COLUMNS[:3],
        F.when(F.col("quantity").rlike(WHOLE), F.regexp_extract("quantity", "^[0-9]+", 0).cast("int")).alias(
            "quantity"
        ),
        F.when(
            F.col("transaction_date").rlike(f"^(?:{UTC_DATE}|{ZONED_DATE})$"), F.to_timestamp("transaction_date")
        ).alias("transaction_date"),
        F.col("transaction_date").alias("written_date"),
        F.lower("status").alias("status"),
        _any_too_long().alias("is_too_long"),
    )


def _trimmed(text: DataFrame) -> DataFrame:
    """The trimmed values, with empty texts for null words in ids, and dates in one spelling."""
    trimmed = text.select("*", *(F.trim(F.col(f"raw_{name}"), F.lit(AROUND)).alias(name) for name in COLUMNS))
    for name in COLUMNS[:3]:
        trimmed = trimmed.withColumn(name, F.when(F.col(name).rlike(NULL_WORD), F.lit("")).otherwise(F.col(name)))
    for pattern, replacement in DATE_SPELLINGS:
        respelled = F.regexp_replace("transaction_date", pattern, replacement.replace("\\", "$"))
        trimmed = trimmed.withColumn("transaction_date", respelled)
    return trimmed


def _without_conflicts(validated: DataFrame) -> DataFrame:
    """The rows, with one more reject reason for rows of an event that are different sales."""
    is_sound = F.col("reject_reasons").isin("", *WAITING)
    event = Window.partitionBy("transaction_id", "event_precedence", is_sound)
    differs = F.lit(False)
    for name in SALE:
        differs = differs | (F.min(name).over(event) != F.max(name).over(event))
    reasons = F.when(F.col("reject_reasons") != "", F.col("reject_reasons"))
    rejected = F.concat_ws(";", reasons, F.lit("conflicting_rows"))
    is_conflicting = is_sound & F.coalesce(differs, F.lit(False))
    return validated.withColumn("reject_reasons", F.when(is_conflicting, rejected).otherwise(F.col("reject_reasons")))


def _any_too_long() -> Column:
    first, *others = (F.octet_length(name) > most for name, most in MOST_BYTES.items())
    for other in others:
        first = first | other
    return first


def _reasons() -> Column:
    """All reject reasons of a row that is not malformed, in the contract's order."""
    has_date = F.coalesce(F.year("transaction_date").between(1, 9999), F.lit(False))
    least = F.when(F.lower("status").isin(*WITHOUT_QUANTITY), F.lit(0)).otherwise(F.lit(1))
    is_future = F.when(
        F.col("written_date").rlike(WITH_OFFSET), F.col("transaction_date") >= F.lit(NEXT_NOON).cast("timestamp")
    ).otherwise(F.col("written_date") >= NEXT_DAY.isoformat())
    first, second, third = (F.col(name).rlike(ROUNDED_ID) for name in COLUMNS[:3])
    broken = {
        "missing_transaction_id": F.col("transaction_id") == "",
        "missing_customer_id": F.col("customer_id") == "",
        "missing_product_id": F.col("product_id") == "",
        "unknown_customer": (F.col("customer_id") != "") & F.col("has_customer").isNull(),
        "unknown_product": (F.col("product_id") != "") & F.col("has_product").isNull(),
        "invalid_quantity": F.col("quantity").isNull()
        | (F.col("quantity") < least)
        | (F.col("has_product").isNotNull() & F.col("total_amount").isNull()),
        "invalid_transaction_date": ~has_date,
        "future_transaction_date": has_date & is_future,
        "invalid_status": ~F.col("status").isin(*STATUSES),
        "value_too_long": F.col("is_too_long"),
        "rounded_id": first | second | third,
        "too_early_transaction_date": has_date & (F.col("written_date") < FIRST_DAY),
    }
    return F.concat_ws(";", *(F.when(is_broken, F.lit(reason)) for reason, is_broken in broken.items()))
