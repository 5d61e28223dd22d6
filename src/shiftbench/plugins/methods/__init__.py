"""What goes around weights at test time; see docs/extending.md."""
