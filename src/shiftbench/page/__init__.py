"""Parts of the report page; `report.py` puts them together."""
