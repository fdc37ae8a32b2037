"""Join tables; columns that only some have are empty in the others, and a row that several have is kept once."""

import argparse
import csv
import io
from pathlib import Path

from gradreg import cli
from gradreg.storage.files import read_bytes, write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="table to write (CSV)")
    parser.add_argument("tables", nargs="+", type=Path, help="tables to join (CSV)")
    args = parser.parse_args()
    tables = [read_bytes(file).decode().splitlines(keepends=True) for file in args.tables]
    # The history of a network from a file has no rows.
    tables = [table for table in tables if len(table) > 1] or tables
    # Only where a patience watches an attack does the history have that error.
    columns = list(dict.fromkeys(name for header, *_ in tables for name in header.rstrip("\n").split(",")))
    header = ",".join(columns) + "\n"
    rows = [row for table in tables for row in (table if table[0] == header else widened(table, columns))[1:]]
    rows = list(dict.fromkeys(rows))  # final runs of several sizes can share a selection
    write_text(args.out, header + "".join(rows))
    print(f"{len(rows)} rows from {len(args.tables)} tables")


def widened(table: list[str], columns: list[str]) -> list[str]:
    """The lines of a table with further columns, which are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(csv.DictReader(table))
    return text.getvalue().splitlines(keepends=True)


if __name__ == "__main__":
    cli.run(main)
