"""What finished runs say together: rows over seeds, tables of them, a chart and a page."""
