"""Measurements that are not model x shards; see docs/extending.md."""
