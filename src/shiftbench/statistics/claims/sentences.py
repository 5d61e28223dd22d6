"""The expression of a claim in words: metric, direction and bound.

Pages print it next to the sentence that a person wrote, so that a reader can compare the two.
"""

from collections.abc import Mapping
from typing import Any

from shiftbench.statistics.claims.statements import TWO, parts

MAX_VALUES = 3
"""Largest number of values of a column that are listed; of more values only the number is given."""
_BARE = ("model", "method", "detector", "dataset", "shift")
"""Columns whose values are clear without the column's name."""
_OF_ONE = {
    "mean": "mean{over} of {0}",
    "max": "largest{over} of {0}",
    "min": "smallest{over} of {0}",
    "median": "median{over} of {0}",
    "abs": "size of {0}",
    "area": "mean height over severity of {0}",
    "slope": "slope over severity of {0}",
    "cvar": "mean of the worst tenth{over} of {0}",
    "count": "number{over} above 0 of {0}",
}
_OF_TWO = {
    "difference": "{0} minus {1}",
    "ratio": "{0} divided by {1}",
    "spearman": "Spearman's correlation of {0} with {1}",
    "kendall": "Kendall's tau of {0} with {1}",
}
_BOUNDS = {
    "superiority": "lies above {}",
    "equivalence": "lies within {} of 0",
    "report": "is reported, without a bound",
}


def sentence(claim: Mapping[str, Any]) -> str:
    """Sentence that a claim (as JSON, with a value) states.

    Example:
        >>> auroc = {"metric": "auroc", "dataset": "mnist"}
        >>> two = [{**auroc, "model": "net-palm"}, {**auroc, "model": "net-erm"}]
        >>> rule = {"kind": "superiority", "margin": 0.1, "over": "seed", "quantifier": "all", "unit": "key"}
        >>> sentence({"value": {"difference": two}, **rule})
        'for every seed: auroc (mnist, net-palm) minus auroc (mnist, net-erm) lies above 0.1'
    """
    words = f"{expression(claim['value'])} {_BOUNDS[claim['kind']].format(_number(claim['margin']))}"
    over = f"{_quantifier(claim['quantifier'])} {claim['over']}: " if claim["over"] else ""
    units = {"key": "", "seed": ", for new training seeds"}.get(claim["unit"], f", for other {claim['unit']}s")
    return f"{over}{words}{units}"


def expression(value: Mapping[str, Any]) -> str:
    """An expression in words: how it combines which rows."""
    if "metric" in value:
        return _selector(value)
    name, operand, over = parts(value)
    if name not in TWO:
        words = _operand(operand) if name in ("abs", "cvar", "count") else expression(operand)
        return _OF_ONE[name].format(words, over=f" over {over}" if over else "")
    return _OF_TWO[name].format(*map(_operand, operand))


def _operand(value: Mapping[str, Any]) -> str:
    """Put a combination of two operands into brackets inside another combination."""
    words = expression(value)
    return f"[{words}]" if "metric" not in value and parts(value)[0] in TWO else words


def _selector(value: Mapping[str, Any]) -> str:
    conditions = [_condition(name, values) for name, values in sorted(value.items()) if name != "metric"]
    metric = " or ".join(_texts(value["metric"]))
    return f"{metric} ({', '.join(conditions)})" if conditions else metric


def _condition(name: str, chosen: object) -> str:
    if chosen is None:
        return f"no {name}"
    values = _texts(chosen)
    if len(values) > MAX_VALUES:
        return f"{len(values)} values of {name}"
    words = " or ".join(values)
    return words if name in _BARE else f"{name} {words}"


def _texts(chosen: object) -> list[str]:
    return [_number(item) for item in (chosen if isinstance(chosen, list) else [chosen])]


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quantifier(asked: object) -> str:
    return {"all": "for every", "exists": "for at least one"}.get(str(asked), f"for at least {asked} values of")
