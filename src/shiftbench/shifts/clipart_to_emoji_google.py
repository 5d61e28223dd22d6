"""Clip-art to emoji: from one kind of drawing to another, twelve classes.

Domain shift as in DomainNet: Peng et al. 2019, https://arxiv.org/abs/1812.01754. Ours has twelve classes
and comes from packages; from Open Clip Art to Google's (Noto) emoji. The clean
partner is the clip-art's test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "twelve_emoji_google", "clean": "twelve_clipart", "split": "test"}
PARAMS: dict[str, object] = {}
