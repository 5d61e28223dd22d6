"""Mails of the first collection to mails of a later collection: the same two classes.

Source: the collections of the SpamAssassin public corpus, https://spamassassin.apache.org/old/publiccorpus/. The clean
partner is the first collection's test split.
"""

from __future__ import annotations

DOMAIN = {"dataset": "spam_easy_2", "clean": "spam_easy_1", "split": "test"}
PARAMS: dict[str, object] = {}
