"""Imported last: what was imported until now is left alone by the garbage collector, here and in every fork.

What libraries want done when an interpreter ends is this process's to do, not a fork's: torch takes a tenth of a second
to put its operators away. What a fork frees stays with it, as jobs that start warm have it (`engine.memory`, which a
fork takes from its own checkout, so that it is not imported here).
"""

import ctypes
import gc
import weakref

for _at_the_end in list(weakref.finalize._registry):  # type: ignore[attr-defined]
    _at_the_end.atexit = False
gc.collect()
gc.freeze()
if hasattr(ctypes.CDLL(None), "mallopt"):
    for _threshold in (-1, -3):  # of trimming, of maps
        ctypes.CDLL(None).mallopt(_threshold, 1 << 30)
