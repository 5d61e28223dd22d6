"""The report page: its chapters, panels, figures, gallery and templates.

May import `base`, `data`, `statistics` and `plugins`. The stage `report` puts the parts together.
"""
