"""Product reviews to film reviews: the same sentiment classes in another kind of text.

Domain shift of sentiment as in Blitzer et al. 2007, https://aclanthology.org/P07-1056. The sentences and
their human ratings are those of Hutto & Gilbert 2014 (VADER),
https://doi.org/10.1609/icwsm.v8i1.14550. The clean partner is the product reviews' test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "vader_movie", "clean": "vader_amazon", "split": "test"}
PARAMS: dict[str, object] = {}
