"""Analyses, one file each: measurements that are not one model on one condition; see docs/extending.md."""
