"""Whose a container is: selectors, labels, sums of policies, and how fast that is found."""

from __future__ import annotations

import fnmatch
import functools
import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bpf.enums import Policy
from shipper.tenants.model import EVERYTHING, LABEL, MAX_TENANTS, Ignored, Membership, Subject, Tenant, Tenants
from shipper.tenants.selectors import MAX_TEXT, Condition, Rule, Selector, SelectorError, condition, image_names

ID = "4f0c" * 16
WEB = Subject(
    key=f"docker/{ID}",
    container_id=ID,
    name="web-1",
    image="registry:5000/shop/nginx:1.29@sha256:abc",
    labels={"team": "a", "empty": "", "com.docker.compose.project": "shop"},
    namespace="prod",
    cgroups=frozenset({7, 8}),
)


def of(subject: Subject, *conditions: tuple[str, str], **more: Any) -> Membership:
    """Whose it is with one tenant of one rule."""
    rule = Rule("t1", tuple(condition(Selector(selector), value) for selector, value in conditions), "here")
    return Tenants(EVERYTHING, [Tenant("t1", "T1")], [rule], **more).of(subject)


@pytest.mark.parametrize(
    ("selector", "value", "holds"),
    [
        ("label", "team", True),
        ("label", "team=a", True),
        ("label", "team=b", False),
        ("label", "team=", False),
        ("label", "empty", True),
        ("label", "empty=", True),
        ("label", "teams", False),
        ("label", "team=*", False),
        ("compose", "shop", True),
        ("compose", "sh*", True),
        ("compose", "sho", False),
        ("image", "registry:5000/shop/nginx:1.29@sha256:abc", True),
        ("image", "registry:5000/shop/nginx:1.29", True),
        ("image", "registry:5000/shop/nginx", True),
        ("image", "*/nginx", True),
        ("image", "*/nginx:1.*", True),
        ("image", "nginx", False),
        ("image", "registry", False),
        ("name", "web-1", True),
        ("name", "web-?", True),
        ("name", "w*[!2]", True),
        ("name", "*eb*", True),
        ("name", "Web-1", False),
        ("name", "web", False),
        ("namespace", "prod", True),
        ("namespace", "p*", True),
        ("namespace", "dev", False),
        ("container", ID, True),
        ("container", ID[:12], True),
        ("container", ID[:63], True),
        ("container", ID[1:20], False),
        ("container", f"docker/{ID}", True),
        ("container", f"docker/{ID[:12]}", False),
        ("cgroup", "7", True),
        ("cgroup", "9", False),
    ],
)
def test_what_chooses_a_container(selector: str, value: str, holds: bool) -> None:
    """Each selector holds for what it says, and for nothing else."""
    membership = of(WEB, (selector, value))
    assert membership == (Membership({"t1": "here"}, EVERYTHING) if holds else Membership({}, EVERYTHING))


def test_compose_of_podman() -> None:
    """Podman has a label of its own for the same."""
    podman = replace(WEB, labels={"io.podman.compose.project": "shop"})
    assert of(podman, ("compose", "shop")).tenants


@pytest.mark.parametrize("selector", ["compose", "image", "name", "namespace"])
def test_what_is_not_known_matches_nothing(selector: str) -> None:
    """A container whose name was not told yet is not chosen by a pattern that fits everything."""
    assert not of(Subject("docker/x", "x", "", "", {}, "", frozenset()), (selector, "*")).tenants


def test_a_container_of_another_runtime_by_its_name() -> None:
    """Where ids are names, as with LXC, the id and the key choose it, whatever it is called."""
    lxc = Subject("lxc/web", "web", "web", "", {}, "", frozenset())
    for value in ("web", "lxc/web"):
        assert of(lxc, ("container", value)).tenants
    assert not of(lxc, ("container", "lxc/we")).tenants


@pytest.mark.parametrize(
    ("image", "names"),
    [
        ("", ()),
        ("nginx", ("nginx",)),
        ("nginx:1", ("nginx:1", "nginx")),
        ("h:5000/a/b", ("h:5000/a/b",)),
        ("h:5000/a/b:c", ("h:5000/a/b:c", "h:5000/a/b")),
        ("b@sha256:1", ("b@sha256:1", "b")),
        ("b:t@sha256:1", ("b:t@sha256:1", "b:t", "b")),
    ],
)
def test_an_images_names(image: str, names: tuple[str, ...]) -> None:
    """With and without digest and tag; a port is no tag."""
    assert image_names(image) == names


@pytest.mark.parametrize(
    ("selector", "value", "message"),
    [
        ("name", "", "'' can't be a name: write 1 to 4096 printable characters"),
        ("name", "a\nb", "'a\\nb' can't be a name: write 1 to 4096 printable characters"),
        ("label", "=a", "'=a' names no label: write its key, or key=value"),
        ("cgroup", "0", "'0' is no cgroup's id: write the whole number that `ls -di` shows of it"),
        ("cgroup", "1.5", "'1.5' is no cgroup's id: write the whole number that `ls -di` shows of it"),
        ("cgroup", str(1 << 64), f"'{1 << 64}' is no cgroup's id: write the whole number that `ls -di` shows of it"),
        ("cgroup", "٣", "'٣' is no cgroup's id: write the whole number that `ls -di` shows of it"),
        (
            "container",
            "4f0c4f0c4f0",
            "'4f0c4f0c4f0' is too little of a container's id: write at least 12 digits, or its key, as in lxc/web",
        ),
        ("name", "web-[ab", "'web-[ab' has a '[' that is not closed: close it, or write [[] for the character"),
        ("image", "[!]", "'[!]' has a '[' that is not closed: close it, or write [[] for the character"),
    ],
)
def test_what_can_choose_nothing(selector: str, value: str, message: str) -> None:
    """A value that can't be meant is refused with what would be right."""
    with pytest.raises(SelectorError) as refused:
        condition(Selector(selector), value)
    assert str(refused.value) == message


def test_all_conditions_of_a_rule_must_hold() -> None:
    """And any one rule is enough; the first that holds says why."""
    assert of(WEB, ("name", "web-*"), ("label", "team=a"), ("cgroup", "7")).tenants
    assert not of(WEB, ("name", "web-*"), ("label", "team=b")).tenants
    rules = [
        Rule("t1", (condition(Selector.NAME, "*"), condition(Selector.LABEL, "team=b")), "first"),
        Rule("t1", (condition(Selector.NAME, "w*"),), "second"),
        Rule("t1", (condition(Selector.CGROUP, "7"),), "third"),
        Rule("nobody", (condition(Selector.CGROUP, "7"),), "of no tenant"),
    ]
    assert Tenants(EVERYTHING, [Tenant("t1", "T1")], rules).of(WEB).tenants == {"t1": "second"}


def test_policies_add_up() -> None:
    """Of a shared container is recorded what any of its tenants asks for; of others, what is configured."""
    known = [Tenant("b", "B", Policy.EXEC), Tenant("a", "A", Policy.OUTPUT), Tenant("c", "C", Policy(0))]
    rules = [Rule(tenant.id, (condition(Selector.LABEL, f"of-{tenant.id}"),), "r") for tenant in known]
    tenants = Tenants(Policy.TERMINAL, known, rules)
    for labels, policy in (
        ({"of-b": "", "of-a": ""}, Policy.EXEC | Policy.OUTPUT),
        ({"of-b": "", "of-c": ""}, Policy.EXEC),
        ({"of-c": ""}, Policy(0)),
        ({}, Policy.TERMINAL),
        ({"of-c": "", "cgtrail.tenant": "undeclared"}, EVERYTHING),
        ({"cgtrail.tenant": "a"}, Policy.OUTPUT),
    ):
        assert tenants.of(replace(WEB, labels=labels)).policy == policy
    assert list(tenants.known) == ["a", "b", "c"]
    assert list(tenants.of(replace(WEB, labels={"of-b": "", "of-a": ""})).tenants) == ["a", "b"]


def test_a_label_names_tenants() -> None:
    """They need not be declared; what is declared of them holds; a rule says why before a label does."""
    labelled = replace(WEB, labels={"cgtrail.tenant": " t2,t1 , t9,,", "team": "a"})
    rule = Rule("t1", (condition(Selector.LABEL, "team"),), "here")
    tenants = Tenants(EVERYTHING, [Tenant("t1", "T1"), Tenant("t2", "T2")], [rule])
    label = "label cgtrail.tenant"
    assert tenants.of(labelled).tenants == {"t1": "here", "t2": label, "t9": label}
    assert tenants.tenant("t9") == Tenant("t9", "t9", EVERYTHING, "label")
    assert Tenants(label="").of(labelled).tenants == {}
    assert Tenants(label="team").of(labelled).tenants == {"a": "label team"}


@pytest.mark.parametrize("value", ["T1", "-a", "a b", "a" * 64, "é", "\x1b[0m", "a\nb", "t1;t2", "a," * 20000])
def test_a_label_with_what_is_no_id(value: str) -> None:
    """It is ignored, counted once for a container, and logged once."""
    ignored = Ignored()
    tenants = Tenants(ignored=ignored)
    labelled = replace(WEB, labels={"cgtrail.tenant": f"good,{value}"})
    with capture_logs() as logs:
        for _ in range(3):
            assert set(tenants.of(labelled).tenants) <= {"good", "a"}
        tenants.of(replace(labelled, key="docker/other"))
    assert (ignored.ids, len(logs)) == (2, 2)
    assert logs[0]["event"] == "a label names no tenant"


def test_more_tenants_than_are_named() -> None:
    """Those of rules are named first; what all ask for is recorded; it is counted and logged once."""
    ignored = Ignored()
    declared = Tenant("zz", "Z", Policy.EXEC)
    rule = Rule("zz", (condition(Selector.NAME, "*"),), "here")
    flood = ",".join(f"a{number}" for number in range(MAX_TENANTS + 10))
    tenants = Tenants(EVERYTHING, [declared], [rule], ignored=ignored)
    with capture_logs() as logs:
        for _ in range(2):
            membership = tenants.of(replace(WEB, labels={"cgtrail.tenant": flood}))
    assert len(membership.tenants) == MAX_TENANTS
    assert list(membership.tenants) == sorted(membership.tenants)
    assert "zz" in membership.tenants
    assert membership.policy == EVERYTHING
    assert (ignored.ids, ignored.beyond, len(logs)) == (0, 1, 1)


def test_a_container_in_fifty_tenants() -> None:
    """It has them all, sorted."""
    known = [Tenant(f"t{number:02}", "T") for number in range(50)]
    rules = [Rule(tenant.id, (condition(Selector.NAME, "web-*"),), "r") for tenant in known]
    assert list(Tenants(EVERYTHING, known, rules).of(WEB).tenants) == [tenant.id for tenant in known]


def test_a_name_that_is_endless() -> None:
    """A name of megabytes is held against no pattern, and costs no time with one that is hard to match."""
    hard = condition(Selector.NAME, "*a*a*a*a*a*a*b")
    assert not hard.holds(replace(WEB, name="a" * 5_000_000 + "b"))
    assert not hard.holds(replace(WEB, name="a" * MAX_TEXT))
    assert not of(replace(WEB, name="w" * 5_000_000), ("name", "w*")).tenants


# Against a naive implementation

_TEXTS = st.text("ab-[]*?!.", max_size=5)
_LABELS = st.dictionaries(st.sampled_from(["team", "env", "com.docker.compose.project", "ab"]), _TEXTS, max_size=3)
_IDS = st.sampled_from([ID, ID[:12] + "0" * 52, "0" * 64, "ab", "web"])
_SUBJECTS = st.builds(
    Subject,
    key=_IDS.map(lambda known: f"docker/{known}"),
    container_id=_IDS,
    name=_TEXTS,
    image=st.text("ab:/@", max_size=6),
    labels=_LABELS,
    namespace=_TEXTS,
    cgroups=st.frozensets(st.integers(1, 5), max_size=3),
)
_VALUES: Mapping[Selector, st.SearchStrategy[str]] = {
    Selector.LABEL: st.one_of(
        st.sampled_from(["team", "env", "ab"]), st.builds("{}={}".format, st.just("team"), _TEXTS)
    ),
    Selector.COMPOSE: _TEXTS,
    Selector.IMAGE: st.text("ab:/@*?", max_size=5),
    Selector.NAME: _TEXTS,
    Selector.NAMESPACE: _TEXTS,
    Selector.CONTAINER: st.sampled_from([ID, ID[:12], ID[:20], "web", f"docker/{ID}", "docker/web"]),
    Selector.CGROUP: st.integers(1, 6).map(str),
}


def conditions_of(selector: Selector, value: str) -> list[Condition]:
    """A condition, if the value can be one."""
    try:
        return [condition(selector, value)]
    except SelectorError:
        return []


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    selector = draw(st.sampled_from(list(Selector)))
    return draw(_VALUES[selector].map(lambda value: conditions_of(selector, value)).filter(bool))[0]


@st.composite
def _rules(draw: st.DrawFn) -> list[Rule]:
    tenants = draw(st.lists(st.integers(0, 3), max_size=8))
    made = st.lists(_conditions(), min_size=1, max_size=3).map(tuple)
    return [Rule(f"t{tenant}", draw(made), f"rule {at}") for at, tenant in enumerate(tenants)]


def naive(one: Condition, subject: Subject) -> bool:
    """What the documentation says, in the plainest words."""
    value = one.value
    match one.selector:
        case Selector.LABEL:
            if "=" not in value:
                return value in subject.labels
            key, _, wanted = value.partition("=")
            return key in subject.labels and subject.labels[key] == wanted
        case Selector.CGROUP:
            return value in {str(cgroup) for cgroup in subject.cgroups}
        case Selector.CONTAINER:
            hexadecimal = len(value) >= 12 and all(char in "0123456789abcdef" for char in value)
            return value in (subject.container_id, subject.key) or (
                hexadecimal and subject.container_id[: len(value)] == value
            )
        case Selector.COMPOSE:
            labels = ("com.docker.compose.project", "io.podman.compose.project")
            known = [subject.labels.get(label, "") for label in labels]
        case Selector.IMAGE:
            known = [*image_names(subject.image)]
        case Selector.NAME:
            known = [subject.name]
        case Selector.NAMESPACE:
            known = [subject.namespace]
    return any(text and fnmatch.fnmatchcase(text, value) for text in known)


@given(_SUBJECTS, _rules())
def test_the_index_finds_what_asking_each_rule_would(subject: Subject, rules: list[Rule]) -> None:
    """Whatever rules and containers: the same tenants, and the same reasons."""
    known = [Tenant(f"t{number}", "T", Policy.EXEC) for number in range(3)]
    wanted: dict[str, str] = {}
    for rule in rules:
        if rule.tenant != "t3" and all(naive(one, subject) for one in rule.conditions):
            wanted.setdefault(rule.tenant, rule.source)
    found = Tenants(Policy.OUTPUT, known, rules, label="").of(subject)
    assert found == Membership(dict(sorted(wanted.items())), Policy.EXEC if wanted else Policy.OUTPUT)
    assert list(found.tenants) == sorted(found.tenants)


_POLICIES = st.sampled_from([Policy(number) for number in range(EVERYTHING + 1)])


@given(_SUBJECTS, _rules(), _POLICIES, st.lists(_POLICIES, max_size=3), st.sampled_from(["", "t0", "t1,t2", "t9"]))
def test_what_is_recorded_at_first(
    subject: Subject, rules: list[Rule], unassigned: Policy, asked: list[Policy], label: str
) -> None:
    """Beside programs, only what is recorded of a container anyhow; and all that is recorded of every one."""
    known = [Tenant(f"t{number}", "T", policy) for number, policy in enumerate(asked)]
    tenants = Tenants(unassigned, known, rules)
    subject = replace(subject, labels={**subject.labels, LABEL: label})
    assert not tenants.at_first & ~tenants.of(subject).policy & ~Policy.EXEC
    assert tenants.at_first & Policy.EXEC
    bare = Tenants(unassigned, known)
    every = [bare.of(WEB).policy, *(bare.of(replace(WEB, labels={LABEL: each.id})).policy for each in known)]
    assert bare.at_first == Policy.EXEC | Policy(functools.reduce(operator.and_, every))


@given(st.sampled_from(Selector), st.text(max_size=8))
def test_any_value_is_taken_or_refused(selector: Selector, value: str) -> None:
    """No value of a selector does anything else, and what is taken can be held against a container."""
    for made in conditions_of(selector, value):
        tenants = Tenants(EVERYTHING, [Tenant("t", "t")], [Rule("t", (made,), "")])
        assert naive(made, WEB) == made.holds(WEB) == bool(tenants.of(WEB).tenants)


def test_hundreds_of_tenants_and_a_thousand_containers() -> None:
    """Each container is held against the rules of its own tenants only, of 300 with four rules each."""
    known = [Tenant(f"t{number}", "T") for number in range(300)]
    chosen = (
        (Selector.NAME, "team{}-*"),
        (Selector.LABEL, "team={}"),
        (Selector.IMAGE, "r{}/*"),
        (Selector.NAME, "*-{}"),
    )
    rules = [
        Rule(tenant.id, (condition(selector, value.format(number)),), "r")
        for number, tenant in enumerate(known)
        for selector, value in chosen
    ]
    tenants = Tenants(EVERYTHING, known, rules)
    for number in range(1000):
        team = number % 300
        subject = replace(WEB, name=f"team{team}-x-{number}", labels={"team": str(team)}, image=f"r{team}/i:1")
        wanted = {f"t{team}"} | ({f"t{number}"} if number < 300 else set())
        assert set(tenants.of(subject).tenants) == wanted
        assert sum(map(len, tenants._index.candidates(subject))) < 20
