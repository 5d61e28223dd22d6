"""Photo to emoji: the same twelve classes as Microsoft's (Fluent, 3D) emoji.

Domain shift as in DomainNet: Peng et al. 2019, https://arxiv.org/abs/1812.01754. Ours has twelve classes
and comes from packages; emoji of three hands show one label space in three
styles. The clean partner is the photos' test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "twelve_emoji_fluent", "clean": "twelve_photo", "split": "test"}
PARAMS: dict[str, object] = {}
