"""Language models behind recorded answers: what is asked, what was answered, and who answers what is missing.

May import `base` and `data`.
"""
