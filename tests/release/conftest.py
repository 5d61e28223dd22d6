"""What is no test module."""

collect_ignore = ["validate_crate.py"]  # run by the validators' Python
