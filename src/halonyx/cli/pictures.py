"""Drawings on a terminal: QR codes and tables."""

import io
from collections.abc import Iterable, Sequence


def qr_code(content: str | bytes) -> str:
    """Return a QR code in half blocks; it has its own light frame, so it scans on a dark screen too."""
    import segno  # noqa: PLC0415 (only where a code is drawn)

    drawn = io.StringIO()
    segno.make(content, micro=False, error="m").terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under their heads, columns as wide as their widest cell.

    Args:
        heads: One for each column.
        rows: Cells that were escaped already.
    """
    from rich.cells import cell_len  # noqa: PLC0415 (only where a table is drawn)

    lines = [tuple(heads), *(tuple(row) for row in rows)]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
