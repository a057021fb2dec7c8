"""Reports: what a verb found, as one value, written as one HTML file, as Markdown or as plain values.

`model` is the value, `html` and `markdown` write it, `plots` draws for `html`.
A verb makes a `Report`; nothing else here knows what it is about.
"""

from remit.workbench.report.html import to_html
from remit.workbench.report.markdown import to_markdown
from remit.workbench.report.model import Bars, Columns, Listing, Paragraph, Part, Report, Section, Table

__all__ = [
    "Bars",
    "Columns",
    "Listing",
    "Paragraph",
    "Part",
    "Report",
    "Section",
    "Table",
    "to_html",
    "to_markdown",
]
