"""Tenants files: what they say, what is wrong with them and where, and what hostile ones can do."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpf.enums import Policy
from shipper.tenants import files
from shipper.tenants.declare import TenantsError
from shipper.tenants.files import MAX_BYTES, FileSet, UnreadableError, read
from shipper.tenants.model import EVERYTHING, Subject, Tenant, Tenants
from shipper.tenants.yaml_tree import MAX_VALUES, YamlError, parse
from shipper.wire.regular import open_regular

SCOPE, OTHER = "4f0c" * 16, "0" * 64
YAML = """\
# a comment
tenants:
  - id: t1
    name: Team One
    policy: [exec, terminal]
    members:
      - label: team=one
      - {image: "nginx*", namespace: prod}
      - label: [a, b=c]
        container: 4f0c4f0c4f0c
  - {id: t2, policy: []}
  - id: 3
    members: &all [{name: "*"}, {cgroup: 17}, {compose: shop}]
  - id: t4
    name: "true"
    members: *all
"""
CSV = f"""\
cgroup,scope,tenant,name,policy
,,t5,"Team ""Five"", too","exec, output"
17,,t5,,
,{SCOPE},t1,,

18,{SCOPE},t1
""".replace("t1\n", "t1,,\n")


def written(folder: Path, text: str | bytes, name: str = "t.yaml") -> Path:
    """A file."""
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def rules(found: FileSet) -> list[tuple[str, list[str], str]]:
    """Tenant, conditions and line of each rule."""
    return [
        (rule.tenant, [str(one) for one in rule.conditions], rule.source.rpartition(" ")[2])
        for rule in found.declared.rules
    ]


def test_yaml(tmp_path: Path) -> None:
    """All that can be said, with the line that says it; numbers and true are texts."""
    file = written(tmp_path, YAML)
    found = read([file])
    assert list(found.declared.tenants.values()) == [
        Tenant("t1", "Team One", Policy.EXEC | Policy.TERMINAL, f"{file}, line 3"),
        Tenant("t2", "t2", Policy(0), f"{file}, line 11"),
        Tenant("3", "3", EVERYTHING, f"{file}, line 12"),
        Tenant("t4", "true", EVERYTHING, f"{file}, line 14"),
    ]
    everybody = [(["name: *"], "13"), (["cgroup: 17"], "13"), (["compose: shop"], "13")]
    assert rules(found) == [
        ("t1", ["label: team=one"], "7"),
        ("t1", ["image: nginx*", "namespace: prod"], "8"),
        ("t1", ["label: a", "label: b=c", "container: 4f0c4f0c4f0c"], "9"),
        *(("3", *rule) for rule in everybody),
        *(("t4", *rule) for rule in everybody),
    ]
    found.check(())


def test_csv_beside_yaml(tmp_path: Path) -> None:
    """A row declares a tenant or attaches a container to one of another file; with both ids, both must hold."""
    first, second = written(tmp_path, CSV, "t.CSV"), written(tmp_path, YAML)
    found = read([first, second])
    assert found.declared.tenants["t5"] == Tenant(
        "t5", 'Team "Five", too', Policy.EXEC | Policy.OUTPUT, f"{first}, line 2"
    )
    assert rules(found)[:3] == [
        ("t5", ["cgroup: 17"], "3"),
        ("t1", [f"container: {SCOPE}"], "4"),
        ("t1", ["cgroup: 18", f"container: {SCOPE}"], "6"),
    ]
    found.check(())


@pytest.mark.parametrize("text", ["tenant\na\n", "\ufefftenant\r\na\r\n", '"tenant"\na', "\n\nTENANT\n\n a \n"])
def test_csv_as_programs_write_it(tmp_path: Path, text: str) -> None:
    """Any line ends, a byte order mark, blank lines, quotes, capitals in the header."""
    assert list(read([written(tmp_path, text, "t.csv")]).declared.tenants) == ["a"]


def test_the_example_of_the_documentation(tmp_path: Path) -> None:
    """docs/tenants.md: two tenants, three containers, one of them shared."""
    page = (Path(files.__file__).parents[2] / "docs" / "tenants.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]
    declared = read([written(tmp_path, example)]).declared
    tenants = Tenants(EVERYTHING, declared.tenants.values(), declared.rules)

    def of(name: str, **labels: str) -> tuple[list[str], Policy]:
        known = {key.replace("_", "."): value for key, value in labels.items()}
        membership = tenants.of(Subject(name, name, name, "", known, "", frozenset()))
        return list(membership.tenants), membership.policy

    assert of("shop-alice-web-1", com_docker_compose_project="shop-alice") == (["alice"], EVERYTHING)
    assert of("bobs-db", customer="bob") == (["bob"], Policy.EXEC)
    assert of("gateway") == (["alice", "bob"], EVERYTHING)


def test_no_files() -> None:
    """There need be none."""
    assert read([]) == FileSet()


ID = "write up to 63 of a-z, 0-9, '.', '_' and '-', the first of them a letter or digit"
EXAMPLE = "tenants: [{id: team-a, members: [{label: team=a}]}]"
INDENT = "indent with spaces, and quote what has special characters in it"
SELECTORS = "label, compose, image, name, namespace, container, cgroup"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "nothing is in it: write `tenants: []` if there shall be none"),
        ("# nothing\n", 1, "nothing is in it: write `tenants: []` if there shall be none"),
        ("- a\n", 1, f"the file must be keys with values, as in {EXAMPLE}"),
        ("{}", 1, f"it has no `tenants`: write as in {EXAMPLE}"),
        ("a:\n\t- b", 2, f"found character that cannot start any token: {INDENT}"),
        ("tenants: [\n", 2, f"did not find expected node content: {INDENT}"),
        ("tenants: *x\n", 1, "there is no anchor &x before this alias"),
        ("tenants: []\n---\ntenants: []\n", 2, "a second document begins here: one file is one document"),
        ("tenants: []\ntenants: []\n", 2, "key 'tenants' stands in line 1 already: keep one"),
        ("\nteants: []\n", 2, "unknown key 'teants' of the file: did you mean 'tenants'? Otherwise write tenants"),
        ("tenants: {id: a}\n", 1, "tenants must be a list, each item with a '-' before it"),
        ("tenants:\n- a\n", 2, f"a tenant must be keys with values, as in {EXAMPLE}"),
        ("tenants:\n- name: a\n", 2, "this tenant has no id: write id: and a name of letters and digits"),
        ("tenants:\n- id: T1\n", 2, f"'T1' can't be a tenant's id: {ID}"),
        ("tenants:\n- id: [a]\n", 2, "a list or keys stand where one text must: write the text alone"),
        ("tenants:\n- id: ''\n", 2, f"'' can't be a tenant's id: {ID}"),
        (f"tenants:\n- id: {'a' * 64}\n", 2, f"'{'a' * 64}' can't be a tenant's id: {ID}"),
        (
            'tenants:\n- id: a\n  name: "\\e[0m"\n',
            3,
            "'\\x1b[0m' can't be a tenant's name: write 1 to 200 printable characters",
        ),
        (
            "tenants:\n- id: a\n  polcy: [exec]\n",
            3,
            "unknown key 'polcy' of a tenant: did you mean 'policy'? Otherwise write one of id, name, policy, members",
        ),
        (
            "tenants:\n- id: a\n  policy: [exec, exce]\n",
            3,
            "'exce' is no policy: did you mean 'exec'? Otherwise write some of exec, terminal, output",
        ),
        ("tenants:\n- id: a\n  policy: exec\n", 3, "policy must be a list, as in [exec, terminal, output]"),
        ("tenants:\n- id: a\n  members: {label: a}\n", 3, "members must be a list, each item with a '-' before it"),
        (
            "tenants:\n- id: a\n  members:\n  - labels: a\n",
            4,
            f"unknown key 'labels' of a member: did you mean 'label'? Otherwise write one of {SELECTORS}",
        ),
        (
            "tenants:\n- id: a\n  members:\n  - {}\n",
            4,
            f"this member says nothing, and would be everybody: write one of {SELECTORS}",
        ),
        (
            "tenants:\n- id: a\n  members:\n  - name: x\n    image: '[a'\n",
            5,
            "'[a' has a '[' that is not closed: close it, or write [[] for the character",
        ),
        (
            "tenants:\n- id: a\n  members:\n  - name:\n",
            4,
            "'' can't be a name: write 1 to 4096 printable characters",
        ),
        ("tenants:\n- id: a\n  members:\n  - name: [a, b]\n", 4,
         "a list or keys stand where one text must: write the text alone"),
        ("tenants:\n- id: a\n  members:\n  - label: []\n", 4,
         "a list or keys stand where one text must: write the text alone"),
        ("tenants:\n- id: a\n- id: b\n- id: a\n", 4, "tenant 'a' stands in FILE, line 2 already: keep one of them"),
        ("tenants: !!python/object/apply:os.system [id]", 1,
         "the tag 'tag:yaml.org,2002:python/object/apply:os.system' is not taken: leave it out"),
        ("tenants:\n- id: !mine a", 2, "the tag '!mine' is not taken: leave it out"),
        ("tenants: []\n\x07", 2, "character '\\x07' is not allowed in YAML: remove it"),
        (b"tenants: []\n# \xff\n", 2, "byte 0xff is no UTF-8: save the file as UTF-8"),
        ("tenants: []\n#\0", 2, "'\\x00' is no text: save the file as UTF-8"),
        ("? [a]\n: b", 1, "a key must be a text"),
        ("a: " + "[" * 10 + "]" * 10, 1, "this is nested deeper than 8 levels"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_yaml(tmp_path: Path, text: str | bytes, line: int, message: str) -> None:
    """Each mistake is named with file, line, value and what to do."""
    file = written(tmp_path, text)
    with pytest.raises(TenantsError) as refused:
        read([file])
    assert str(refused.value) == f"{file}, line {line}: {message.replace('FILE', str(file))}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "nothing is in it: write a header, as in cgroup,scope,tenant"),
        ("\n \n", 1, "nothing is in it: write a header, as in cgroup,scope,tenant"),
        (
            "cgroup,scop,tenant\n",
            1,
            "unknown column 'scop': did you mean 'scope'? Otherwise write some of cgroup, scope, tenant, name, policy",
        ),
        ("cgroup,scope\n", 1, "there is no column 'tenant': add it to the header, and to each row"),
        ("tenant,tenant\n", 1, "column 'tenant' is there twice: keep one"),
        ("cgroup,tenant\n,a\n1\n", 3,
         "this row has 1 values, and the header has 2: quote a value that has a comma in it"),
        ("tenant\na\n\nB\n", 4, f"'B' can't be a tenant's id: {ID}"),
        ("tenant,policy\na,exec termnal\n", 2,
         "'termnal' is no policy: did you mean 'terminal'? Otherwise write some of exec, terminal, output"),
        ("tenant,name\na,\x07\n", 2, "'\\x07' can't be a tenant's name: write 1 to 200 printable characters"),
        ("scope,tenant\n,a\n4f0c,a\n", 3, "'4f0c' is no scope: write the container's id, 64 of 0-9 and a-f"),
        ("cgroup,tenant\n,a\n-1,a\n", 3, "'-1' is no cgroup's id: write the whole number that `ls -di` shows of it"),
        ("cgroup,tenant\n1,a\n,a\n1,a\n", 4,
         "the same container and tenant stand in FILE, line 2 already: keep one of them"),
        ("tenant\na\na\n", 3, "tenant 'a' stands in FILE, line 2 already: keep one of them"),
        ("cgroup,tenant,name\n,a,A\n1,a,A\n", 3,
         "'A' is said of tenant 'a' in a container's row: write it in a row without cgroup and scope"),
        ('tenant\n"a\n', 2, "unexpected end of data: is a quote missing, or one too many?"),
        ('tenant\n"a"b\n', 2, "',' expected after '\"': is a quote missing, or one too many?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_csv(tmp_path: Path, text: str, line: int, message: str) -> None:
    """Each mistake is named with file, line, value and what to do."""
    file = written(tmp_path, text, "t.csv")
    with pytest.raises(TenantsError) as refused:
        read([file])
    assert str(refused.value) == f"{file}, line {line}: {message.replace('FILE', str(file))}"


def test_duplicates_in_two_files(tmp_path: Path) -> None:
    """All files are one set: a tenant or a row stands in one of them."""
    first = written(tmp_path, "cgroup,tenant\n,a\n1,a\n", "a.csv")
    second = written(tmp_path, "cgroup,tenant\n1,a\n", "b.csv")
    third = written(tmp_path, "tenants: [{id: a}]")
    with pytest.raises(TenantsError) as refused:
        read([first, second])
    assert str(refused.value) == (
        f"{second}, line 2: the same container and tenant stand in {first}, line 3 already: keep one of them"
    )
    with pytest.raises(TenantsError) as refused:
        read([first, third])
    assert str(refused.value) == f"{third}, line 1: tenant 'a' stands in {first}, line 2 already: keep one of them"


def test_an_unknown_tenant(tmp_path: Path) -> None:
    """A row of a tenant that nobody declares is named; a command may have declared it."""
    file = written(tmp_path, "cgroup,tenant\n,team\n1,taem\n", "t.csv")
    found = read([file])
    with pytest.raises(TenantsError) as refused:
        found.check(["other"])
    assert str(refused.value) == (
        f"{file}, line 3: there is no tenant 'taem': did you mean 'team'? Otherwise declare it in a row without cgroup "
        "and scope, in another file, or with `cgtrail tenants add taem`"
    )
    found.check(["taem"])


def test_files_that_are_none(tmp_path: Path) -> None:
    """What can't be read, or is no file, is named and hangs nobody."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    for name, why in (
        ("none.yaml", "No such file or directory"),
        ("pipe.yaml", "not a regular file"),
        ("folder.csv", "Is a directory"),
        ("loop.yaml", "Too many levels of symbolic links"),
        ("none.yaml/x.yaml", "No such file or directory"),
    ):
        with pytest.raises(UnreadableError) as refused:
            read([tmp_path / name])
        assert str(refused.value) == f"{tmp_path / name}: {why}: mend it, or take it out of tenants.files"
    with pytest.raises(UnreadableError, match="not a regular file"):
        read([Path("/dev/zero.yaml") if os.path.exists("/dev/zero.yaml") else _linked(tmp_path, "/dev/zero")])


def _linked(folder: Path, target: str) -> Path:
    (folder / "device.yaml").symlink_to(target)
    return folder / "device.yaml"


def test_another_kind_of_file(tmp_path: Path) -> None:
    """What is in it is told by its name."""
    file = written(tmp_path, "tenants: []", "tenants.txt")
    with pytest.raises(TenantsError, match=r"can't be told from its name: call it \.yaml, \.yml or \.csv$"):
        read([file])


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """No more is read than the bound, and one of exactly that is taken."""
    file = written(tmp_path, "tenants: []\n#" + "x" * (MAX_BYTES - 13))
    assert read([file]).declared.tenants == {}
    with open(file, "a") as opened:
        opened.write("x")
    with pytest.raises(TenantsError) as refused:
        read([file])
    assert str(refused.value) == f"{file}: it is larger than 8 MiB: choose containers by label or pattern"
    os.truncate(file, 1 << 40)
    with pytest.raises(TenantsError, match="larger than 8 MiB"):
        read([file])


def test_too_many_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number has a bound."""
    monkeypatch.setattr(files, "MAX_RULES", 2)
    file = written(tmp_path, "cgroup,tenant\n,a\n1,a\n2,a\n3,a\n", "t.csv")
    with pytest.raises(TenantsError) as refused:
        read([file])
    assert (
        str(refused.value) == f"{file}: there are more than 2 tenants or members: choose containers by label or pattern"
    )


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n" for before, after in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, f"more than {MAX_VALUES:,} values"),
        ("[" + "a," * (MAX_VALUES + 1) + "]", f"more than {MAX_VALUES:,} values"),
        ("[" * 1_000_000, "nested deeper"),
        ("- " * 1_000_000, "nested deeper"),
        ("{a: " * 100_000, "nested deeper"),
        ("&a [*a]", "no anchor"),
        ("&a {b: &b {c: [*b]}}", "no anchor"),
    ],
)
def test_yaml_that_means_harm(text: str, problem: str) -> None:
    """What would grow without end is refused before it does."""
    with pytest.raises(YamlError, match=problem):
        parse(text)


@given(st.text(st.sampled_from("abtenids: -[]{}&*!?|>\"'#%@`,\n\t=<~0\x85\ufeff\u2028")))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """YAML of any kind is a tree, or an error with a line that the text has."""
    try:
        parse(text)
    except YamlError as error:
        lines = len(text.splitlines()) + 2
        if not 1 <= error.line <= lines:
            raise


def test_a_file_that_is_replaced_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of the one before is dropped, and the new one is read."""
    file = written(tmp_path, "tenants: [{id: old}]")
    really, readings = open_regular, []

    def racing(path: Path) -> object:
        opened = really(path)
        readings.append(path)
        if len(readings) == 1:
            shutil.move(written(tmp_path, "tenants: [{id: new}]", "next"), file)
        return opened

    monkeypatch.setattr(files, "open_regular", racing)
    assert list(read([file]).declared.tenants) == ["new"]
    assert len(readings) == 2


def test_a_file_that_is_written_all_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up for now, and said so."""
    file = written(tmp_path, "tenants: []\n")

    class Racing(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            with open(file, "a") as other:
                other.write("#\n")
            return found or b""

    def racing(path: Path) -> object:
        return Racing(path)

    monkeypatch.setattr(files, "open_regular", racing)
    with pytest.raises(UnreadableError) as refused:
        read([file])
    assert str(refused.value) == f"{file}: it is being changed: it is read again when that is over"
