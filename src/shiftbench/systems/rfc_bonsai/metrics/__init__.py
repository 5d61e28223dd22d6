"""Metrics that RFC alone needs."""
