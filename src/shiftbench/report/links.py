"""Links of pages: to their own places, to papers that a text cites by number, and to repositories on GitHub."""

import re

from markupsafe import Markup, escape

_ARXIV = r"arXiv[: ]\s?(?P<arxiv>\d{4}\.\d{4,5})"
_DOI = r"(?:doi:\s?|https://doi\.org/)(?P<doi>10\.\d{4,9}/[\w./()-]*\w)"
_CITED = re.compile(f"{_ARXIV}|{_DOI}", re.IGNORECASE | re.ASCII)
_REPOSITORY = re.compile(r"(?:https://github\.com/)?([\w.-]+/[\w.-]+?)/?", re.ASCII)


def of(text: str) -> str:
    """Address of the first paper that a text cites; empty where it cites none.

    Example:
        >>> of("arXiv 2402.02653"), of("doi:10.24432/C50P49"), of("javascript:alert(1)")
        ('https://arxiv.org/abs/2402.02653', 'https://doi.org/10.24432/C50P49', '')
    """
    match = _CITED.search(text)
    return _address(match) if match else ""


def of_repository(text: str) -> str:
    """Address of a repository of GitHub, given by owner and name; empty for anything else.

    Example:
        >>> of_repository("jeff024/PALM"), of_repository("javascript:a/b")
        ('https://github.com/jeff024/PALM', '')
    """
    match = _REPOSITORY.fullmatch(text)
    return f"https://github.com/{match[1]}" if match else ""


def linked(text: str) -> Markup:
    """A text, escaped, with links to the papers that it cites.

    Example:
        >>> linked("<b>, arXiv:1708.07747")
        Markup('&lt;b&gt;, <a href="https://arxiv.org/abs/1708.07747" rel="noreferrer">arXiv:1708.07747</a>')
    """
    markup, end = Markup(), 0
    for match in _CITED.finditer(text):
        link = Markup('<a href="{}" rel="noreferrer">{}</a>').format(_address(match), match[0])
        markup += escape(text[end : match.start()]) + link
        end = match.end()
    return markup + escape(text[end:])


def _address(reference: re.Match[str]) -> str:
    if reference["arxiv"]:
        return f"https://arxiv.org/abs/{reference['arxiv']}"
    return f"https://doi.org/{reference['doi']}"


def slug(name: str) -> str:
    """A name as a part of an address.

    Example:
        >>> slug("vit-erm + tent")
        'vit-erm-tent'
    """
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")
