"""Pandas expressions: what is refused before it runs, what the sandbox ends, and what answers mean."""

import time

import pytest

from shiftbench.data import tables
from shiftbench.evaluation import sandbox
from shiftbench.evaluation.sandbox import pandas_queries
from shiftbench.evaluation.sandbox.pandas_queries import Answer

TABLE = {
    "header": ["Name", "Area", "Note"],
    "rows": [["Ada", "1,200", "x"], ["Bea", "-", "y"], ["Cleo", "3.5", None]],
    "caption": "islands",
}
COLUMNS = tables.typed_columns(TABLE)
needs_sandbox = pytest.mark.skipif(bool(sandbox.missing_support()), reason="no sandbox on this machine")


def asked(query: str, limits: sandbox.Limits = pandas_queries.LIMITS) -> Answer:
    (found,) = pandas_queries.run([(query, COLUMNS)], limits)
    return found


REFUSED = {
    "import os": "SyntaxError",
    "__import__('os')": "NameError",
    "exec('1')": "NameError",
    "open('/etc/passwd')": "NameError",
    "getattr(df, 'to_csv')": "NameError",
    "eval('1')": "NameError",
    "().__class__.__base__.__subclasses__()": "AttributeError",
    "df._mgr": "AttributeError",
    "'{0.__class__}'.format(df)": "AttributeError",
    "f'{df}'": "SyntaxError",
    "df.query('Area > @limit')": "AttributeError",
    "df.query('Area > 1')": "AttributeError",
    "df.eval('Area + 1')": "AttributeError",
    "pd.eval('1')": "AttributeError",
    "pd.read_csv('https://example.org/a.csv')": "AttributeError",
    "pd.io.common.os.system('id')": "AttributeError",
    "np.load('a.npy', allow_pickle=True)": "AttributeError",
    "np.lib.npyio.os": "AttributeError",
    "df.to_pickle('a')": "AttributeError",
    "df.pipe(len)": "AttributeError",
    "df.apply('to_csv')": "TypeError",
    "df.agg(['sum', 'to_csv'])": "TypeError",
    "df.agg({'Area': 'to_csv'})": "TypeError",
    "df.groupby('Note').agg(a=('Area', 'sum'), b=('Area', 'to_csv'))": "TypeError",
    "df.agg(axis=0, func='to_csv')": "TypeError",
    "df.agg(*['to_csv'])": "TypeError",
    "df.agg(**{'func': 'to_csv'})": "TypeError",
    "df.pivot_table(index='Note', aggfunc='to_csv')": "TypeError",
    "df.pivot_table('Area', 'Note', 'Name', 'to_csv')": "TypeError",
    "x = pd; x.read_csv('a')": "NameError",
    "(lambda m: m.read_csv('a'))(pd)": "NameError",
    "[pd for pd in [1]]": "NameError",
    "df.Area = 1; df": "SyntaxError",
    "x = 1": "SyntaxError",
    "": "SyntaxError",
    "(y := 3)": "SyntaxError",
    "while True: pass": "SyntaxError",
    "nowhere > 3": "NameError",
    "df['Area' > 1": "SyntaxError",
    "(" * 3000 + ")" * 3000: "ValueError",
    "1" * 5000: "ValueError",
}


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_refused_never_runs(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pandas_queries, "_sandbox", lambda: pytest.fail("a sandbox was asked"))
    found = asked(query)
    assert found.status == "refused"
    assert found.error.startswith(REFUSED[query])
    assert pandas_queries.truth(found) is None


ALLOWED = {
    "df['Area'].max() == 1200": ("bool", True),
    "df[df['Name'] == 'Ada']['Area'] > 1000": ("list", [True]),
    "df.loc[df['Name'] == 'Ada', 'Note'].iloc[0]": ("text", "x"),
    "df['Area'].tolist()": ("list", [1200.0, None, 3.5]),
    "x = df['Area']; y = x.max(); y > 3": ("bool", True),
    "len(df) - 1": ("number", 2),
    "df['Area'].apply(lambda value: value > 3).any()": ("bool", True),
    "df.agg({'Area': 'sum'})": ("list", [1203.5]),
    "df.groupby('Note').agg(total=('Area', 'sum'))['total'].max()": ("number", 1200.0),
    "df.apply(lambda row: row['Area'], axis=1).sum()": ("number", 1203.5),
    "pd.to_numeric(df['Area']).sum()": ("number", 1203.5),
    "np.mean([1, 2])": ("number", 1.5),
    "[name for name in df['Name'] if 'a' in name]": ("list", ["Ada", "Bea"]),
    "df[df['Area'] > 1]": ("frame", None),
    "df['Area'].iloc[1] == df['Area'].iloc[1]": ("bool", False),  # NaN is not itself
    "df['Note'].iloc[2]": ("none", None),
    "np.where": ("other", None),
    "(df['Area'] > 3).astype(int).max()": ("number", 1),
}


@needs_sandbox
@pytest.mark.parametrize("query", ALLOWED)
def test_what_may_be_asked_is_answered(query: str) -> None:
    found = asked(query)
    assert (found.status, found.error, found.kind, found.value) == ("ok", "", *ALLOWED[query])


@needs_sandbox
def test_an_error_says_what_pandas_says_and_a_table_is_new_each_time() -> None:
    assert asked("df['area'].max()") == Answer("failed", "KeyError: 'area'")
    assert asked("x = df.insert(0, 'new', 1); 'new' in df.columns").value is True
    assert asked("'new' in df.columns").value is False


ENDED = {
    "sum([9 ** 9 ** 9])": ("timeout", "cpu"),
    "'a' * 10 ** 11": ("memory", "MemoryError"),
    "(lambda f: f(f))(lambda f: f(f))": ("failed", "RecursionError"),
}


@needs_sandbox
@pytest.mark.parametrize("query", ENDED)
def test_what_takes_too_much_is_ended(query: str) -> None:
    short = sandbox.Limits(cpu=1, wall=6.0, memory=1 << 30, disk=0)
    began = time.monotonic()
    found = asked(query, short)
    status, error = ENDED[query]
    assert found.status == status
    assert found.error.startswith(error)
    assert time.monotonic() - began < 6
    assert asked("len(df)").value == 3  # the next is not harmed


ESCAPES = {
    "import socket; socket.create_connection(('1.1.1.1', 53))": "PermissionError OSError",
    "import os; os.write(os.open('/box/a', os.O_CREAT | os.O_WRONLY), b'x')": "OSError",
    "open('/etc/passwd').read()": "FileNotFoundError PermissionError",
    "import os; [os.fork() for _ in range(20)]": "BlockingIOError OSError",
}


@needs_sandbox
@pytest.mark.parametrize("program", ESCAPES)
def test_behind_the_first_layer_stands_the_sandbox(program: str) -> None:
    """What would get past the syntax tree finds no network, no file that it may write, and few processes."""
    box = pandas_queries._sandbox()
    outcome = box.run(program, sandbox.Limits(cpu=1, wall=6.0, memory=1 << 30, disk=0))
    assert not outcome.passed
    assert outcome.status != "failed" or outcome.error in ESCAPES[program].split()
    assert asked("len(df)").value == 3


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer("ok", "", "bool", True), True),
        (Answer("ok", "", "list", [False]), False),
        (Answer("ok", "", "list", [True, True]), None),
        (Answer("ok", "", "list", []), None),
        (Answer("ok", "", "list", [1]), None),
        (Answer("ok", "", "number", 1), None),
        (Answer("ok", "", "text", "True"), None),
        (Answer("ok", "", "frame"), None),
        (Answer("failed", "KeyError: 'a'"), None),
    ],
)
def test_nothing_but_one_boolean_is_a_verdict(answer: Answer, verdict: bool | None) -> None:
    assert pandas_queries.truth(answer) is verdict


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("ok", "", "number", 12.0), ["12"]),
        (Answer("ok", "", "number", 1.5), ["1.5"]),
        (Answer("ok", "", "text", "a b"), ["a b"]),
        (Answer("ok", "", "list", ["a", None, 3]), ["a", "", "3"]),
        (Answer("ok", "", "frame"), None),
        (Answer("refused", "NameError: x"), None),
    ],
)
def test_answers_to_questions_are_texts(answer: Answer, told: list[str] | None) -> None:
    assert pandas_queries.texts(answer) == told
