"""Rows and tables computed again in this process, by other code or by the stage itself."""
