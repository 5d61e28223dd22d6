"""Adapters: a name from params.yaml to a net or predictor; one file each."""
