"""Names of Python and of libraries with which code reads or changes more than its text names."""

OPAQUE = frozenset("exec eval globals __import__ __builtins__ __path__ __spec__ __loader__".split())
"""Names of Python with which code reaches definitions that its text does not name."""
STORING = frozenset("setattr delattr vars globals".split())
"""Names of Python with which code changes the meaning of a name."""
OPAQUE_ATTRIBUTES = frozenset("__globals__ __subclasses__ f_globals f_locals f_back".split())
"""Attributes with which code reaches definitions that its text does not name."""
OPAQUE_OF = frozenset(
    "builtins cloudpickle dill gc.get_objects importlib.import_module importlib.machinery "
    "importlib.metadata.entry_points importlib.reload importlib.util inspect.currentframe inspect.getmembers "
    "inspect.getmodule inspect.stack joblib.load marshal pickle.Unpickler pickle.load pickle.loads pkgutil runpy "
    "shelve sys._getframe sys.executable sys.meta_path sys.modules sys.path_hooks zipimport".split()
)
"""Names of libraries, and all names below them, with which code reaches definitions that its text does not name."""
OPAQUE_AS_VALUES = frozenset("gc importlib inspect pickle sys".split())
"""Modules with which code does so if it names none of their attributes."""
SHOWS_LOCALS = frozenset("locals vars dir exec eval _getframe currentframe".split())
SHOWS_LOCALS_OF_FRAMES = frozenset("_getframe currentframe f_locals".split())
PLACE = frozenset("__name__ __file__ __package__ __path__ __spec__ __loader__ __cached__".split())
"""Names that give a module its own place."""
REFLECTING = frozenset("__name__ __qualname__ __module__ __annotations__ __code__ __signature__ __wrapped__".split())
"""Attributes that make names and annotations of functions data."""
DOCUMENTING = frozenset("__doc__ getdoc pydoc help vars __dict__".split())
"""Names that make docstrings data."""
SOURCING = frozenset(
    "__code__ linecache traceback tb_lineno f_lineno co_firstlineno getsource getsourcelines findsource "
    "getcomments getsourcefile getframeinfo".split()
)
"""Names that make the text of a file data, with its comments and line numbers."""
REFLECTING_CALLS = frozenset(
    "get_type_hints get_annotations signature getfullargspec singledispatch singledispatchmethod validate_call "
    "__annotations__ pydoc".split()
)
KEEPS_QUIET = frozenset(
    "abc contextlib dataclasses functools torch typing atexit staticmethod classmethod property".split()
)
"""Libraries and built-in names whose decorators do not read annotations."""
