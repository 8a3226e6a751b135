"""Pages that open in any browser, in one file, without a network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff }
body { max-width: 1100px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em; overflow-wrap: anywhere } img { max-width: 100% }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: 0.3em 0.8em 0.3em 0; vertical-align: top }
th { border-bottom: 2px solid #888 } td { border-bottom: 1px solid #ddd; overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
"""

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing but what is in it."""


def page(
    title: str,
    *,
    paragraphs: Sequence[str] = (),
    figures: Sequence[tuple[str, Figure]] = (),
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[str | float]] = (),
) -> str:
    """Return a page in HTML with text, pictures and a table; every text is escaped, pictures are part of the page.

    Parameters
    ----------
    title : str
        Heading and name of the page.
    paragraphs : sequence of str
        Text under the heading.
    figures : sequence of (str, Figure)
        Pictures with what they show, in words.
    columns, rows : sequence of str, sequence of sequences
        Table; numbers are aligned to the right.

    Examples
    --------
    >>> "<script>" in page("<script>", columns=["<script>"], rows=[["<script>"]])
    False
    """
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(_POLICY)}">',
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(text)}</p>" for text in paragraphs),
        *(_picture(text, figure) for text, figure in figures),
    ]
    if columns:
        parts += ["<table><thead><tr>", *(f"<th>{html.escape(name)}</th>" for name in columns), "</tr></thead><tbody>"]
        parts += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
        parts.append("</tbody></table>")
    return "\n".join([*parts, "</body></html>", ""])


def _picture(text: str, figure: Figure) -> str:
    """Return a picture as an element that holds its own data."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def _cell(value: str | float) -> str:
    """Return a cell of the table."""
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    return f'<td class="number">{value:g}</td>'
