"""Cells of CSV files as spreadsheets read them."""

from datetime import datetime

# OWASP, "CSV injection": what a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: object) -> str:
    """The text of a value, quoted where a spreadsheet would take it for a formula."""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
