"""Counts calls of torch modules in the process, and notes them in the run files of what it commits.

On PYTHONPATH of the workflow tests, so that the real jobs of a run count themselves.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

calls = 0


def _count(module):
    original = module.Module.__call__

    def counted(self, *args, **kwargs):
        global calls  # noqa: PLW0603 - one count for the process
        calls += 1
        return original(self, *args, **kwargs)

    module.Module.__call__ = counted


def _note(recipe):
    begun, commit = recipe.Run.__init__, recipe.Run.commit

    def begins(self, *args, **kwargs):
        self.calls_before = calls  # of the jobs that this process did before
        begun(self, *args, **kwargs)

    def noted(self, *args, **kwargs):
        self.note(module_calls=calls - self.calls_before)
        commit(self, *args, **kwargs)

    recipe.Run.__init__, recipe.Run.commit = begins, noted


class After(MetaPathFinder):
    """Calls a function on each of some modules right after its import."""

    def __init__(self, functions):
        self.functions = functions

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - the protocol's
        function = self.functions.pop(name, None)
        if function is None:
            return None
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def then(module):
            execute(module)
            function(module)

        spec.loader.exec_module = then
        return spec


functions = {"torch.nn.modules.module": _count, "shiftbench.provenance.recipe": _note}
for name in functions.keys() & sys.modules.keys():  # of a process that had its libraries before
    functions.pop(name)(sys.modules[name])
sys.meta_path.insert(0, After(functions))
