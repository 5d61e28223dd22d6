"""Photo to clip-art: the same twelve classes, drawn.

Domain shift as in DomainNet: Peng et al. 2019, https://arxiv.org/abs/1812.01754. Ours has twelve classes
and comes from packages; the drawings are Open Clip Art. The clean partner is the photos' test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "twelve_clipart", "clean": "twelve_photo", "split": "test"}
PARAMS: dict[str, object] = {}
