"""Titles of the names in params: from params, else from the plugin of that name, else made from the name."""

from shiftbench.base import registry
from shiftbench.report.titles import BASELINES, distinct, from_name
from shiftbench.workflow.plan import params_check
from shiftbench.workflow.plan.params import Params

Titles = dict[str, dict[str, str]]
"""Titles by plugin type (and `benchmarks`) and name."""


def stated_title(params: Params, plugin_type: str, name: str) -> str | None:
    """Title that params or the plugin state; None if neither does.

    An entry of params under a name of its own, with other options or without, does not have the title of its plugin:
    `knn_5: {use: knn, k: 5}` is not just "KNN".

    Raises:
        PluginError: the title of the plugin is not a text.
    """
    component = params.component(plugin_type, name)
    if component.title or component.use not in (None, name) or registry.JOIN in name:
        return component.title
    return registry.title(registry.read(plugin_type, name))


def title(params: Params, plugin_type: str, name: str) -> str:
    """Title of a name; of shifts that are joined, their titles joined."""
    parts = name.split(registry.JOIN)
    if len(parts) > 1 and not stated_title(params, plugin_type, name):
        return f" {registry.JOIN} ".join(title(params, plugin_type, part) for part in parts)
    return stated_title(params, plugin_type, name) or from_name(plugin_type, name)


def of_benchmarks(params: Params, benchmarks: list[str], datasets: set[str]) -> Titles:
    """Titles of some benchmarks, of all that they name, and of other datasets that pages show.

    Titles of one plugin type differ: equal ones are followed by the name in brackets. A metric has its title in
    `metrics` of the recipe. A baseline trainer is left out, unless params state its title.
    """
    names: dict[str, set[str]] = {"datasets": set(datasets)}
    for benchmark in benchmarks:
        for plugin_type, _, name in params_check.asked(params.benchmarks[benchmark]):
            names.setdefault(plugin_type, set()).add(name)
    names.pop("metrics", None)
    untitled = {name for name in BASELINES if not params.trainer(name).title}
    names["trainers"] = names.get("trainers", set()) - untitled
    titles = {
        plugin_type: {name: title(params, plugin_type, name) for name in sorted(names_of_type)}
        for plugin_type, names_of_type in sorted(names.items())
    }
    titles["benchmarks"] = {name: params.benchmarks[name].title or from_name("benchmarks", name) for name in benchmarks}
    return {plugin_type: distinct(own, {name: name for name in own}) for plugin_type, own in titles.items()}
