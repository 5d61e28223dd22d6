"""Models that RFC alone needs."""
