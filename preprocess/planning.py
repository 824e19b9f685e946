"""Which images each split gets: those of its list, or made splits, without what --leaks=drop leaves out."""

import dataclasses
from collections.abc import Mapping, Sequence

from preprocess.leaks import drop
from preprocess.pool import WorkerPool
from preprocess.settings import Settings
from preprocess.sources.lists import read_lists
from preprocess.splitting import kept_lists, made_splits
from yolo.data.problems import NOTED, Problem

Lists = dict[str, list[str]]  # the image ids of each split, each id once


@dataclasses.dataclass(frozen=True)
class Plan:
    """lists: the images to write of each split; problems: of the splits so far; made: the lists of --make_splits,
    which also have the images that are left out as leaks; kept: what is kept of them for later runs."""

    lists: Lists
    problems: dict[str, list[Problem]]
    made: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    kept: kept_lists.KeptLists | None = None

    def keep(self, out_dir: str) -> None:
        """Writes what is kept for later runs."""
        kept_lists.write(out_dir, self.kept)


def read(settings: Settings) -> Plan:
    """The plan of the lists as they are given."""
    lists, problems = read_lists(settings.splits)
    for split, note in settings.notes:
        problems[split].append(Problem(split, '', NOTED, note))
    return Plan(lists, problems)


def complete(settings: Settings, plan: Plan, workers: WorkerPool) -> Plan:
    """The plan with what depends on looking at all images; ValueError as `made_splits.make` and `drop.check` raise."""
    lists, problems = plan.lists, plan.problems
    made = made_splits.Made({}, [], None)
    if settings.make_splits:
        of_lists = [problem for each in problems.values() for problem in each]
        made = made_splits.make(settings, lists, workers)
        lists, first = made.lists, next(iter(made.lists))
        problems = {split: [] for split in lists}
        problems[first] = [dataclasses.replace(problem, split=first) for problem in of_lists] + made.problems
    kept, dropped = drop.check(settings, lists, made.seen, workers)
    problems = {split: [*each, *dropped.get(split, [])] for split, each in problems.items()}
    return Plan(kept, problems, made.lists, made.kept)
