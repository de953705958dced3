"""The tasks, one after the other, in shops as the file describes them; no two tasks in one shop touch the same user."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orders.importers import tau2
from orders.importers.tau2 import CHANNEL, Source
from orders.queries import replay as queries
from orders.replay.http import Api
from orders.replay.tau2 import acting, state
from retail import clients
from retail.kernel import clock, config, db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Invalid
from retail.kernel.web_process import web
from retail.roles import GRANTABLE
from retail.shop import Verdict

SCOPES = (
    "catalog.read",
    "customers.read",
    "customers.write",
    "orders.cancel",
    "orders.change",
    "orders.read",
    "returns.work",
)
CHANGES_ITEMS = "modify_pending_order_items"

Tell = Callable[[str, int, int], None]
Shops = Callable[[], AbstractContextManager[Verdict]]


class Unreadable(Invalid):
    """The tasks or what is expected of them cannot be read."""

    code, title = "unreadable_file", "The file cannot be read"


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, what of it must be refused, and how orders and users must look afterwards."""

    id: str
    actions: tuple[Mapping[str, Any], ...]
    refused: tuple[Mapping[str, Any], ...]
    orders: Mapping[str, Any]
    users: Mapping[str, Any]


@dataclass(slots=True)
class Outcome:
    """What came of one task: `differences` in one line each; `defect`: equal but for the reference tool's own defect."""

    task: str
    differences: list[str] = field(default_factory=list)
    defect: bool = False
    refusals: int = 0


@dataclass(slots=True)
class Account:
    """All tasks."""

    outcomes: list[Outcome] = field(default_factory=list)
    shops: int = 0
    actions: int = 0

    @property
    def equal(self) -> int:
        """How many tasks ended as expected."""
        return sum(not outcome.differences for outcome in self.outcomes)


def tasks_of(tasks: Path, expected: Path) -> list[Task]:
    """Both files together.

    Raises:
        Unreadable: one of them is not what it should be.
    """
    try:
        known = json.loads(expected.read_text())
        found = []
        for one in json.loads(tasks.read_text()):
            wanted = known[one["id"]]
            actions = tuple(one["evaluation_criteria"]["actions"] or ())
            found.append(Task(one["id"], actions, tuple(wanted["refused"]), wanted["orders"], wanted["users"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"{tasks.name}, {expected.name}: {type(error).__name__}: {error}") from error
    return found


def rounds_of(tasks: Sequence[Task], source: Source) -> list[list[Task]]:
    """The tasks in as few rounds as one after the other finds, so that in none two touch the same user."""
    owners = {order.id: order.user_id for order in source.orders}
    rounds: list[tuple[list[Task], set[str]]] = []
    for task in tasks:
        users = set(task.users) | {owners[order] for order in task.orders if order in owners}
        for action in task.actions:
            arguments = action["arguments"]
            users |= {owner for owner in (arguments.get("user_id"), owners.get(arguments.get("order_id", ""))) if owner}
        for members, taken in rounds:
            if not users & taken:
                members.append(task)
                taken |= users
                break
        else:
            rounds.append(([task], set(users)))
    return [members for members, _ in rounds]


def run(source: Source, tasks: Sequence[Task], *, shops: Shops, tell: Tell) -> Account:
    """Do every task; each round in a shop of its own from `shops`, which audits it at the end."""
    account, done = Account(), 0
    for round_ in rounds_of(tasks, source):
        with shops() as verdict, tempfile.TemporaryDirectory() as folder:
            tau2.load(source, tell=lambda *_: None, now=clock.now())
            key = _client()
            environment = {"DATABASE_URL": config.current().database_url, "SECRET_KEY": config.current().secret_key}
            with web(environment=environment, log=Path(folder) / "web.log", workers=1) as server:
                api = Api(server.base, key)
                for task in round_:
                    outcome = _task(api, task, account)
                    account.outcomes.append(outcome)
                    done += 1
                    tell("tasks", done, len(tasks))
            for fault in _others_untouched(round_, source):
                verdict.fault(fault)
        account.shops += 1
    return account


def _client() -> str:
    """A client of the shop's channel with what an agent's tools need; returns its key."""
    owner = Principal(kind=STAFF, id=None, permissions=GRANTABLE)
    with db.transaction() as session:
        facts = {"name": "tau2 replay", "channel": CHANNEL, "scopes": SCOPES}
        client_id = clients.create(session, caller=owner, facts=facts, now=clock.now())
        issued = clients.issue_key(session, caller=owner, client_id=client_id, overlap_hours=None, now=clock.now())
    return issued.key


def _task(api: Api, task: Task, account: Account) -> Outcome:
    outcome = Outcome(task.id)
    refused = [(one["action"], one["arguments"]) for one in task.refused]
    changed: dict[str, Sequence[str]] = {}
    for action in task.actions:
        name, arguments = action["name"], action["arguments"]
        answer = acting.act(api, name, arguments)
        account.actions += 1
        must_refuse = (name, arguments) in refused
        outcome.refusals += not answer.ok
        if answer.ok and must_refuse:
            outcome.differences.append(f"{name} was done, and had to be refused")
        if not answer.ok and not must_refuse:
            outcome.differences.append(f"{name} was refused: {answer.why}")
        if answer.ok and name == CHANGES_ITEMS:
            changed[arguments["order_id"]] = arguments["new_item_ids"]
    for order_id, expected in task.orders.items():
        _compare_order(api, order_id, expected, changed.get(order_id, ()), outcome)
    for user_id, expected in task.users.items():
        found = state.differences(state.user_state(api, user_id), state.expected_user(expected))
        outcome.differences += [f"{user_id} {difference}" for difference in found]
    return outcome


def _compare_order(
    api: Api, order_id: str, expected: Mapping[str, Any], new_items: Sequence[str], outcome: Outcome
) -> None:
    ours, theirs = state.order_state(api, order_id), state.expected_order(expected)
    found = state.differences(ours, theirs)
    if found and not state.differences(state.with_reference_defect(ours, new_items), theirs):
        outcome.defect = True
        found = []
    outcome.differences += [f"{order_id} {difference}" for difference in found]


def _others_untouched(tasks: Sequence[Task], source: Source) -> list[str]:
    """Orders and customers that are other than before although no task of the round says that they are."""
    before = {user.id: user.address for user in source.users}
    orders = {order for task in tasks for order in task.orders}
    users = {user for task in tasks for user in task.users}
    with db.reading() as session:
        touched = queries.touched_orders(session, channel=CHANNEL)
        changed = queries.changed_customers(session)
    faults = [f"order {one} was changed, and nothing says that it is" for one in sorted(set(touched) - orders)]
    other = {user for user, address in changed.items() if address != before[user]}
    return faults + [f"user {one} was changed, and nothing says so" for one in sorted(other - users)]
