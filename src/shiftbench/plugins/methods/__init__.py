"""Methods, one file each: they change a model's predictions at test time; see docs/extending.md."""
