"""Samples, records and models made again, in processes that can read nothing but their inputs.

Shards: `shard_samples` selects samples, `shard_worker` makes them again. Records: `evaluated_batches`; `row_comparison`
and `tolerance` judge differences. `model_worker` evaluates and trains again. `isolation` starts the workers, `worker`
is their common code, and `confinement` and `confine` restrict them. The workers call the code of the stages.
"""
