"""Tables as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["table"]

_LEFT = " style='text-align:left'"
_ONE_LINE = " style='white-space:nowrap'"
_CAPTION = " style='text-align:left;white-space:nowrap'"


def table(caption: str, rows: Iterable[Sequence[str]], columns: Sequence[str] = ()) -> str:
    """Return a table in HTML.

    Parameters
    ----------
    caption : str
        Stands above it.
    rows : iterable of sequence of str
        The cells. Without `columns` they are texts, the first of which names the row.
    columns : sequence of str
        Names of the columns.

    Returns
    -------
    str
        Everything is escaped.

    Examples
    --------
    >>> table("2 & 3", [["<b>"]], columns=["x"]).partition("2 &amp; 3")[2]
    '</caption><tr><th>x</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    from html import escape  # noqa: PLC0415 -- only notebooks need it: one import less for the rest

    def cells(kind: str, texts: Iterable[str], style: str = "") -> str:
        return "".join(f"<{kind}{style}>{escape(text)}</{kind}>" for text in texts)

    if columns:
        lines = [cells("th", columns), *(cells("td", row) for row in rows)]
    else:
        lines = [cells("th", row[:1], _LEFT) + cells("td", row[1:], _LEFT) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    # A long value of a column far to the right must not make a row high; a text may have lines.
    style = _ONE_LINE if columns else ""
    return f"<table{style}><caption{_CAPTION}>{escape(caption)}</caption>{body}</table>"
