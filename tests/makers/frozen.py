"""Imported last: what was imported until now is left alone by the garbage collector, here and in every fork.

What libraries want done when an interpreter ends is this process's to do, not a fork's: torch takes a tenth of a second
to put its operators away.
"""

import gc
import weakref

for _at_the_end in list(weakref.finalize._registry):  # type: ignore[attr-defined]
    _at_the_end.atexit = False
gc.collect()
gc.freeze()
