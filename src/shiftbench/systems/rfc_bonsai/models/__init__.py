"""Nets that RFC alone needs."""
