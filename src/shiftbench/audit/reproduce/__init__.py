"""Samples and records made again, in processes that can reach nothing but their inputs.

Shards: `shard_samples` says what is made again, `shard_worker` makes it. Records: `evaluated_batches` and
`evaluation_worker` (with `probes`); `row_comparison` and `tolerance` say what a difference is worth. Both stand on
`isolation`, which starts the workers, and on `worker`, what these share.
"""
