"""The values that streams are made of; helper of the streams."""

from dataclasses import dataclass

from shiftbench.base.errors import ParamsError
from shiftbench.base.refs import number


@dataclass(frozen=True, slots=True)
class Support:
    """Labelled samples that a method may adapt on: some shards, or one of several disjoint parts of them.

    Samples of classes that a model does not have are auxiliary outliers to it.

    Attributes:
        dataset, split, shift, severity: the shards.
        part, of: the `part`-th (from 0) of `of` parts, with the classes in nearly equal numbers.
    """

    dataset: str
    split: str
    shift: str = "identity"
    severity: float = 0.0
    part: int = 0
    of: int = 1

    def __str__(self) -> str:
        where = f"{self.dataset}/{self.split}/{self.shift}/{number(self.severity)}"
        return f"support {where}" + (f" {self.part}/{self.of}" if self.of > 1 else "")


@dataclass(frozen=True, slots=True)
class Step:
    """One position of a stream.

    Attributes:
        dataset, split, shift, severity: the shards that are evaluated there.
        support: what is shown, labels included, before them; shares no sample with anything that the stream tests.
        at: the time, which is `step` in tables, so that several sets (ID, near, far) can be evaluated at one; default:
            the number of the position.
        reset: a method starts again here, as at the first position.
        reads: the dataset whose shards are read instead of `dataset`'s, with its classes by name, so that what is
            tested at each time is other samples of one set; tables name `dataset`.
    """

    dataset: str
    split: str
    shift: str
    severity: float
    support: tuple[Support, ...] = ()
    at: int | None = None
    reset: bool = False
    reads: str = ""

    @property
    def tested(self) -> tuple[str, str]:
        """The dataset that is read, and its split."""
        return self.reads or self.dataset, self.split

    def __str__(self) -> str:
        place = f"{self.tested[0]}/{self.split}/{self.shift}/{number(self.severity)}"
        return f"test {place}" + (f" as {self.dataset}" if self.reads else "")


def check(name: str, steps: list[Step]) -> None:
    """Refuse steps that make no stream.

    Raises:
        ParamsError: times fall, one set is tested twice at one time, or support is also tested.
    """
    tested = {step.tested for step in steps}
    last, seen = -1, set()
    for at, step in enumerate(steps):
        time = at if step.at is None else step.at
        place = (time, step.dataset, step.split, step.shift, step.severity)
        if time < last or place in seen:
            why = f"comes after time {last}" if time < last else "is a second time at that time"
            raise ParamsError(f"streams.{name}: position {at} ({step}) at time {time} {why}")
        for one in step.support:
            if (one.dataset, one.split) in tested:
                raise ParamsError(
                    f"streams.{name}: {one.dataset}/{one.split} is support at position {at} and tested, too; what "
                    "is tested may not be learnt from: take another split, or a dataset of other samples"
                )
            if not 0 <= one.part < one.of:
                raise ParamsError(
                    f"streams.{name}: the support at position {at} is part {one.part} of {one.of}; the first is part 0"
                )
        last = time
        seen.add(place)


def describe_steps(steps: list[Step]) -> list[str]:
    """The schedule, one line per position: time, what is shown, what is tested."""
    lines = []
    for at, step in enumerate(steps):
        time = at if step.at is None else step.at
        reset = ["reset"] if step.reset or not at else []
        lines.append(f"{time:4d}  " + ", ".join([*reset, *map(str, step.support), str(step)]))
    return lines
