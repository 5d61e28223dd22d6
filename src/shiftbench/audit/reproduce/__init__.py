"""Samples, records and models made again, in processes that can read nothing but their inputs.

Shards: `shard_samples` selects samples, `shard_worker` makes them again. Records: `evaluated_batches` and
`evaluation_worker` (with `probes`); `row_comparison` and `tolerance` judge differences. Models: `training_worker`.
`isolation` starts the workers, `worker` is their common code, and `confinement` and `confine` restrict them.
"""
