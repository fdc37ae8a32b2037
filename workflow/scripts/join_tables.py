"""Join tables with equal columns; a row that several tables have is kept once."""

import argparse
from pathlib import Path

from gradreg import cli
from gradreg.storage.files import read_bytes, write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, help="table to write (CSV)")
    parser.add_argument("tables", nargs="+", type=Path, help="tables to join (CSV)")
    args = parser.parse_args()
    lines = {file: read_bytes(file).decode().splitlines(keepends=True) for file in args.tables}
    # The history of a network from a file has no rows.
    filled = {file: table for file, table in lines.items() if len(table) > 1} or lines
    (example, (header, *_)), rows = next(iter(filled.items())), []
    for file, (first, *rest) in filled.items():
        if header != first:
            raise SystemExit(f"Error: {file} has other columns than {example}")
        rows += rest
    rows = list(dict.fromkeys(rows))  # final runs of several sizes can share a selection
    write_text(args.out, header + "".join(rows))
    print(f"{len(rows)} rows from {len(args.tables)} tables")


if __name__ == "__main__":
    cli.run(main)
