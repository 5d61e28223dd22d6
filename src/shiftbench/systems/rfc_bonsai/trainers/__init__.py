"""Trainers that RFC alone needs: rounds of discovery, the synthesis, and PI."""
