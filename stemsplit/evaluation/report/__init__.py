"""Report an evaluation: records, tables, a page."""
