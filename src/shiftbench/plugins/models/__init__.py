"""Adapters: a name from params.yaml to a network or predictor; one file each."""
