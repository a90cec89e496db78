"""What was promised to a machine: the plain model of what it remembers of the Hub, as docs/reliability.md has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .answers_repositories import Commit, Repository


@dataclass(frozen=True, slots=True)
class Name:
    """What is asked for. filename: "" for the repository alone. at: the number of a commit; None for the branch."""

    repository: str
    filename: str
    at: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Hub said: which file, at the commit of which number; when (ISO 8601, UTC)."""

    commit: int
    filename: str
    when: str


@dataclass(slots=True)
class Promises:
    """Answers by name. forgotten: names whose answer the Hub took back, so that no older one takes its place."""

    known: dict[Name, Answer] = field(default_factory=dict)
    forgotten: set[Name] = field(default_factory=set)

    def asked(self, name: Name, repository: Repository, when: str) -> Answer | None:
        """The Hub was asked about `name`, and this is its answer; None where it has no such file, or several."""
        number = len(repository.commits) - 1 if name.at is None else name.at
        commit, whole = repository.commits[number], Name(name.repository, "", name.at)
        filename = commit.meant_by(name.filename)
        meant = self.known[whole].filename if whole in self.known else None
        if filename is None:
            for over in {name, whole} if meant == name.filename else {name}:
                if over in self.known:
                    self.forget(over)
            return None
        answer = Answer(number, filename, when)
        self.remember(Name(name.repository, filename, name.at), answer)
        if name == whole or (meant == filename and _means(commit, filename)):
            self.remember(whole, answer)
        elif meant == filename:
            self.forget(whole)
        return answer

    def brought(self, name: Name, answer: Answer) -> None:
        """A bundle had this answer."""
        mine = self.known.get(name)
        if (mine is None and name not in self.forgotten) or (mine is not None and mine.when < answer.when):
            self.known[name] = answer

    def remember(self, name: Name, answer: Answer) -> None:
        self.known[name] = answer
        self.forgotten.discard(name)

    def forget(self, name: Name) -> None:
        """An answer was there, and is no longer."""
        del self.known[name]
        self.forgotten.add(name)

    def forget_as(self, before: Promises, name: Name) -> None:
        """Nothing is remembered under `name`; there may have been, in what was `before`."""
        self.known.pop(name, None)
        if name in before.known or name in before.forgotten:
            self.forgotten.add(name)


def _means(commit: Commit, filename: str) -> bool:
    """Whether the repository alone means this file."""
    return commit.meant_by("") == filename
