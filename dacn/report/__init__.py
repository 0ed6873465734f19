"""Reports on finished runs: rows over seeds, tables, a chart and an HTML page.

May import `run` and what lies below it; reads run folders and trains nothing.
"""
