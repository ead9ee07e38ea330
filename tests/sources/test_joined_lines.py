"""Two sales in one line of a file whose rows are numbered by the reader."""

from __future__ import annotations

from pathlib import Path

from jobs.csv.reader import open_source_file
from sources import read_source
from tests.oracle.text import SOURCE_COLUMNS


def test_the_number_of_a_row_makes_no_room(tmp_path: Path) -> None:
    """Shopify's rows are numbered by the reader, so that column has no delimiter in the file."""
    header = "Name,Email,Financial Status,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku"
    sale = "b@x.org,paid,2023-03-15 10:00:00 +0000,1"
    path = tmp_path / "drop"
    path.write_text(f'{header}\n#1,{sale},Teapot,9.90,"P2#2,{sale},9.90,P1"\n')
    settings = read_source("shopify")
    source = open_source_file(path, name="day.csv", required=SOURCE_COLUMNS, settings=settings)
    assert [flag for chunk in source.chunks() for flag in chunk.get_column("is_malformed")] == [True]
