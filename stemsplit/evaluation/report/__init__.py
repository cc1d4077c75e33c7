"""What comes out of an evaluation: records, tables, a page."""
