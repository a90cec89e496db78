"""One random story of `answers`: what is done, and what each call has to give."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from depthhub import from_pretrained, lock, prewarm, resolve
from depthhub.errors import DepthHubError, OfflineError, RemoteError
from depthhub_cache.identity import Key

from .answers_machines import BUILDS, DTYPES, V2, Call, Locked, Machine, Made, Wanted, place_of, text_of
from .answers_promises import Answer, Name, Promises
from .answers_repositories import MODEL, Repository
from .answers_shelf import WAYS, Shelf
from .calls import Said, by_command
from .children import Child
from .hub_process import HubProcess
from .report import Report
from .samples import Known, digest_of
from .soundness import sha256_of, unsound


class BrokenPromiseError(Exception):
    """A promise was broken."""


class Story:
    """Two machines, a remote store, a repository of plain files and one with a config.json.

    The same seed tells the same story.
    """

    def __init__(self, seed: int, folder: Path, hub: HubProcess, made: Made, report: Report) -> None:
        self._chance = random.Random(seed)
        self._folder, self._made, self._report = folder, made, report
        self._plain = Repository(hub, f"me/plain{seed}", lfs=self._chance.random() < 0.6)
        self._described = Repository(hub, f"me/described{seed}", lfs=True)
        self._machines = [Machine(folder / "one"), Machine(folder / "two")]
        self._shelf = Shelf(folder / "shelf")
        self._locked: list[Locked] = []
        self._told: list[str] = []

    def wrong_after(self, steps: int) -> str | None:
        """Tell the story; what was wrong, and what led there."""
        rmtree(self._folder, ignore_errors=True)
        self._shelf.root.mkdir(parents=True)
        self._plain.put("w.pth", self._weights(".pth"))
        self._described.describe(self._chance.choice(BUILDS))
        self._described.put(MODEL, self._weights(".safetensors"))
        ways: dict[Callable[[], None], int] = {
            self._ask: 40,
            self._ask_and_kill: 4,
            self._move: 10,
            self._lock: 3,
            self._load_as_locked: 3,
            self._carry_a_bundle: 4,
            self._damage: 3,
            self._damage_the_shelf: 2,
            self._verify: 2,
            self._collect: 3,
            self._remove: 4,
        }
        try:
            for _ in range(steps):
                self._chance.choices(list(ways), list(ways.values()))[0]()
        except BrokenPromiseError as broken:
            return f"{broken}\n    " + "\n    ".join(self._told[-30:])
        return None

    # what is asked

    def _ask(self) -> None:
        self._call(self._random_call())

    def _ask_and_kill(self) -> None:
        """What is there after it is what was there before, or what the call would have made."""
        call = self._random_call()._replace(how="load", offline=False)
        self._told.append(f"{call}, killed")
        child = Child(lambda _: self._done(call, verify=False))
        time.sleep(self._chance.uniform(0, 0.1))
        if child.kill().how == "killed":
            self._report.did("killed")
        machine, before = call.machine, deepcopy(call.machine.promises)
        if self._asks(call):
            machine.promises.asked(call.name, call.repository, "")
        self._compare_memory(machine, call.repository, or_before=before)
        for wrong in unsound(machine.store, expected={made.key: made.sha256 for made in self._made.values()}):
            if not machine.damaged:
                raise BrokenPromiseError(f"after a kill: {wrong}")
        machine.here |= {wanted for wanted, made in self._made.items() if machine.store.get(made.key) is not None}

    def _lock(self) -> None:
        call = self._random_call()._replace(how="lock", offline=False, refresh=True)
        wanted = self._call(call)
        if wanted is not None:
            self._locked.append(Locked(self._lockfile(), call.text, wanted))

    def _load_as_locked(self) -> None:
        """Wherever the branch is by now."""
        if not self._locked:
            return
        locked, machine = self._chance.choice(self._locked), self._chance.choice(self._machines)
        self._told.append(f"{machine.root.name}: load {locked.text} as locked in {locked.file.name}")
        verify = locked.wanted in machine.damaged
        options = {"dtype": locked.wanted.dtype, "lockfile": locked.file, "verify": verify}
        try:
            model = from_pretrained(locked.text, cache_dir=machine.root, **options)
        except DepthHubError as error:
            raise BrokenPromiseError(f"what is locked does not load: {error}") from error
        if digest_of(model) != self._made[locked.wanted].model:
            raise BrokenPromiseError(f"as locked it is another model than {locked.wanted}")
        self._report.did("load as locked")
        self._is_here(machine, locked.wanted)

    def _call(self, call: Call) -> Wanted | None:
        """Call, and hold it against what was promised; what it was to give, None where it was refused."""
        promises, asks = call.machine.promises, self._asks(call)
        answer = promises.asked(call.name, call.repository, "") if asks else promises.known.get(call.name)
        wanted = None if answer is None else self._wanted(call, answer)
        verify = wanted in call.machine.damaged  # no other check reads the numbers
        fetches = answer and wanted and call.how != "look" and self._lies_on_the_shelf_alone(call, answer, wanted)
        self._told.append(f"{call}, verify={verify}; promised: {answer}")
        try:
            given = self._done(call, verify=verify)
        except DepthHubError as error:
            self._told.append(f"    {type(error).__name__}: {error}")
            self._judge_refusal(error, call, answer, wanted)
            wanted = None
        else:
            self._judge(given, call, answer, wanted)
            if fetches:
                self._report.did("out of the remote store")
        self._compare_memory(call.machine, call.repository)
        return wanted

    def _judge(self, given: Known | str | None, call: Call, answer: Answer | None, wanted: Wanted | None) -> None:
        if answer is None or wanted is None:
            raise BrokenPromiseError(f"nothing was promised, and it gave {given}")
        self._report.did(call.how)
        if call.how == "look":
            if given not in (None, sha256_of(wanted.weights)):
                raise BrokenPromiseError(f"the sha256 {given} is not that of {wanted.weights.name}")
            return
        if given != self._made[wanted]:
            raise BrokenPromiseError(f"it gave {given}, and {wanted} is {self._made[wanted]}")
        if call.shelf == "push" and call.how == "prewarm":
            self._report.did("pushed")
            if wrong := self._shelf.wrong_after_push(self._made[wanted]):
                raise BrokenPromiseError(wrong)
        self._is_here(call.machine, wanted)

    def _judge_refusal(self, error: DepthHubError, call: Call, answer: Answer | None, wanted: Wanted | None) -> None:
        machine = call.machine
        if answer is None or wanted is None:
            self._report.did("offline, and not here" if call.offline else "the Hub said no")
            return
        foreseen = (OfflineError, RemoteError) if call.shelf else OfflineError
        if not call.offline or call.how == "look" or not isinstance(error, foreseen):
            raise BrokenPromiseError(f"{type(error).__name__}: {error}")
        if self._lies_on_the_shelf_alone(call, answer, wanted):
            raise BrokenPromiseError(f"it lies in the remote store, whole, and {error}")
        if wanted in machine.here - machine.damaged and self._knows_the_file(call, answer):
            raise BrokenPromiseError(f"it lies here, whole, and {error}")
        self._report.did("offline, and not here")
        if wanted in machine.damaged:  # found, and set aside
            self._is_gone(machine, wanted)

    def _compare_memory(self, machine: Machine, repository: Repository, or_before: Promises | None = None) -> None:
        """What the machine remembers is what was promised; or_before: or what was before a call that was killed."""
        promises = machine.promises
        memories = [promises] if or_before is None else [promises, or_before]
        for name in {name for memory in memories for name in memory.known if name.repository == repository.id}:
            allowed = [memory.known.get(name) for memory in memories]
            try:
                there = resolve(text_of(repository, name), cache_dir=machine.root, offline=True)
            except OfflineError:
                remembered = None
            else:
                remembered = (there.commit, there.filename)
            found = [answer for answer in allowed if remembered == (answer and place_of(repository, answer))]
            if not found:
                raise BrokenPromiseError(
                    f"{machine.root.name} remembers {remembered} of {name}, and was told {allowed}"
                )
            if found[0] is not None:
                promises.remember(name, replace(found[0], when=str(there.remembered_at)))
                if there.content_hash is not None:
                    machine.learned.add((name, found[0].commit))
            elif or_before is not None:
                promises.forget_as(or_before, name)

    def _compare_entries(self, machine: Machine) -> None:
        there, known = set(machine.store.keys()), {self._made[wanted].key for wanted in machine.here}
        if there != known:
            raise BrokenPromiseError(f"{machine.root.name} has {there - known} besides, and lacks {known - there}")

    def _done(self, call: Call, *, verify: bool) -> Known | str | None:
        """What it gave; of a look only the sha256."""
        with self._shelf.told(call.shelf):
            return self._given(call, verify=verify)

    def _given(self, call: Call, *, verify: bool) -> Known | str | None:
        build = {} if call.repository is self._described else {"family": V2.family}
        where = {"cache_dir": call.machine.root, "offline": call.offline or None}
        if call.how == "lock":
            lock([call.text], self._lockfile(), dtype=call.dtype, **build, **where)
        options = {**build, **where, "dtype": call.dtype, "refresh": call.refresh and call.how != "lock"}
        if call.how == "look":
            return resolve(call.text, **options).content_hash
        if call.how == "prewarm":
            [made] = prewarm([call.text], verify=verify, **options)
            return self._known(made.key, made.path, None)
        model = from_pretrained(call.text, verify=verify, **options)
        return self._known(model.provenance.key, model.provenance.path, digest_of(model))

    # what happens besides

    def _move(self) -> None:
        """The branch of one of them gets another file, loses one, or gets it back."""
        if self._chance.random() < 0.4:
            weights, build = self._weights(".safetensors"), self._chance.choice(BUILDS)
            self._described.put(MODEL, weights) if self._chance.random() < 0.5 else self._described.describe(build)
        else:
            filename = self._chance.choice(("w.pth", "w.pth", "x.pth"))
            if filename in self._plain.head.weights and len(self._plain.head.weights) > 1:
                self._plain.remove(filename)
            else:
                self._plain.put(filename, self._weights(".pth"))
        self._told.append(f"{self._plain.head} is {len(self._plain.commits) - 1}, {self._described.head.build}")
        self._report.did("a branch moved")

    def _carry_a_bundle(self) -> None:
        giver, taker = self._chance.sample(self._machines, 2)
        if not giver.here or giver.damaged:
            return
        bundle = self._folder / "models.tar"
        bundle.unlink(missing_ok=True)
        self._command(giver, "cache", "export", "--all", "-o", str(bundle))
        self._command(taker, "cache", "import", str(bundle))
        carried = {sha256_of(wanted.weights) for wanted in giver.here}
        self._compare_entries(giver)
        for name, answer in giver.promises.known.items():
            repository = self._plain if name.repository == self._plain.id else self._described
            weights = repository.commits[answer.commit].weights[answer.filename]
            if sha256_of(weights) in carried and (repository.lfs or (name, answer.commit) in giver.learned):
                taker.promises.brought(name, answer)
        taker.here |= giver.here
        taker.damaged -= giver.here
        self._report.did("a bundle was carried")
        for repository in (self._plain, self._described):
            self._compare_memory(taker, repository)

    def _damage(self) -> None:
        """One bit, or all from some byte on; not so that the file is too short, which every load finds."""
        machine, wanted = self._random_entry()
        if wanted is None:
            return
        path = self._entry_of(machine, wanted)
        data = bytearray(path.read_bytes())
        at = self._chance.randrange(len(data) * 3 // 4, len(data))
        data[at] ^= 1
        if self._chance.random() < 0.5:
            data[at + 1 :] = bytes(len(data) - at - 1)
        path.write_bytes(data)
        machine.damaged.add(wanted)
        self._told.append(f"{machine.root.name}: {wanted} is damaged")
        self._report.did("damaged")

    def _damage_the_shelf(self) -> None:
        if damaged := self._shelf.damage(self._chance):
            self._told.append(f"{damaged} on the shelf is damaged")
            self._report.did("damaged in the remote store")

    def _verify(self) -> None:
        machine = self._chance.choice(self._machines)
        said = self._command(machine, "verify", "--deep", may_fail=bool(machine.damaged))
        if bool(said.code) != bool(machine.damaged):
            raise BrokenPromiseError(f"verify {said}, and {len(machine.damaged)} are damaged")
        for wanted in list(machine.damaged):
            self._is_gone(machine, wanted)
        self._report.did("verified")

    def _collect(self) -> None:
        machine = self._chance.choice(self._machines)
        self._told.append(f"    {self._command(machine, 'cache', 'gc', '--max-size', '1KB').out}")
        for wanted in list(machine.here):
            self._is_gone(machine, wanted)
        self._compare_entries(machine)
        self._report.did("collected")

    def _remove(self) -> None:
        machine, wanted = self._random_entry()
        if wanted is None:
            return
        self._command(machine, "cache", "remove", self._made[wanted].key)
        self._is_gone(machine, wanted)
        self._report.did("removed")

    # how the model goes on

    def _asks(self, call: Call) -> bool:
        known = call.machine.promises.known.get(call.name)
        return not call.offline and (known is None or (call.refresh and call.name.at is None))

    def _knows_the_file(self, call: Call, answer: Answer) -> bool:
        """Whether it is known without a download which file it is, and so which entry."""
        return call.repository.lfs or (call.name, answer.commit) in call.machine.learned

    def _lies_on_the_shelf_alone(self, call: Call, answer: Answer, wanted: Wanted) -> bool:
        there = call.shelf and wanted not in call.machine.here and self._shelf.has(self._made[wanted])
        return bool(there) and self._knows_the_file(call, answer)

    def _is_here(self, machine: Machine, wanted: Wanted) -> None:
        machine.here.add(wanted)
        machine.damaged.discard(wanted)

    def _is_gone(self, machine: Machine, wanted: Wanted) -> None:
        machine.here.discard(wanted)
        machine.damaged.discard(wanted)

    def _wanted(self, call: Call, answer: Answer) -> Wanted:
        commit = call.repository.commits[answer.commit]
        return Wanted(commit.weights[answer.filename], commit.build or V2, call.dtype)

    def _known(self, key: Key, path: Path, model: str | None) -> Known:
        """model: the digest of what was loaded; None where only the file was made, of which it is known."""
        sha256 = sha256_of(path)
        same = [made.model for made in self._made.values() if made.sha256 == sha256]
        return Known(key=key, sha256=sha256, model=model or next(iter(same), "of no model that is known"))

    # what is drawn

    def _random_call(self) -> Call:
        repository = self._plain if self._chance.random() < 0.65 else self._described
        filename = self._chance.choice(("", "w.pth", "x.pth") if repository is self._plain else ("", MODEL))
        at = self._chance.randrange(len(repository.commits)) if self._chance.random() < 0.12 else None
        name = Name(repository.id, filename, at)
        return Call(
            how=self._chance.choice(("load", "load", "prewarm", "look")),
            machine=self._chance.choice(self._machines),
            repository=repository,
            name=name,
            text=text_of(repository, name) + ("@main" if at is None and self._chance.random() < 0.3 else ""),
            dtype=self._chance.choice(DTYPES),
            refresh=self._chance.random() < 0.25,
            offline=self._chance.random() < 0.2,
            shelf=self._chance.choice(WAYS),
        )

    def _random_entry(self) -> tuple[Machine, Wanted | None]:
        machine = self._chance.choice(self._machines)
        whole = sorted(machine.here - machine.damaged, key=str)
        return machine, self._chance.choice(whole) if whole else None

    def _weights(self, suffix: str) -> Path:
        return self._chance.choice(sorted({wanted.weights for wanted in self._made if wanted.weights.suffix == suffix}))

    def _lockfile(self) -> Path:
        return self._folder / f"{len(self._locked)}.lock"

    def _entry_of(self, machine: Machine, wanted: Wanted) -> Path:
        entry = machine.store.get(self._made[wanted].key)
        if entry is None:
            raise BrokenPromiseError(f"{machine.root.name} has lost {wanted}")
        return entry.weights

    def _command(self, machine: Machine, *argv: str, may_fail: bool = False) -> Said:
        self._told.append(f"{machine.root.name}: depthhub {' '.join(argv)}")
        said = by_command(machine.root, lambda _: None, *argv)
        if "Traceback" in said.err or (said.code and not may_fail):
            raise BrokenPromiseError(f"depthhub {' '.join(argv)} {said}")
        return said
