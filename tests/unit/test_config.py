"""The configuration: a file, the environment and flags."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgtrail import config, settings, settings_kafka
from cgtrail.config import Config, ConfigError, environment, keys, load, variable
from enrich.commands.output import KEPT
from shipper.tenants.declare import POLICIES


@pytest.fixture(autouse=True)
def _no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "default.toml")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its file."""
    return tmp_path / "cgtrail.toml"


def value_of(given_config: Config, key: str) -> Any:
    """The value of a dotted key."""
    value: Any = given_config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def test_everything_has_a_default() -> None:
    """Without file, environment and flags there is a configuration."""
    assert load(None, {}, {}) == Config()


# key: what the file says (TOML), the environment, a flag, and the values that each means
OF_EACH_KEY = {
    "data": ('"/file"', "/environment", "/flag", "/file", "/environment", "/flag"),
    "capture.host": ("true", "false", True, True, False, True),
    "capture.ring_bytes": ("65536", "131072", 262144, 65536, 131072, 262144),
    "runtimes.docker": (
        '["tcp://file:1", "unix:///a b"]',
        "tcp://[::1]:2, https://b:3/",
        ["http://c:4"],
        ["tcp://file:1", "unix:///a b"],
        ["tcp://[::1]:2", "https://b:3/"],
        ["http://c:4"],
    ),
    "runtimes.podman": ("[]", "unix:///b", ["unix:///c"], [], ["unix:///b"], ["unix:///c"]),
    "runtimes.containerd": ('["/a"]', "", ["unix:///c"], ["/a"], [], ["unix:///c"]),
    "capture.max_cgroups": ("256", "257", 258, 256, 257, 258),
    "tenants.files": (
        '["/a/b.yaml", "c.CSV"]',
        "/x.yml, y.csv",
        ["z.yaml"],
        ["/a/b.yaml", "c.CSV"],
        ["/x.yml", "y.csv"],
        ["z.yaml"],
    ),
    "tenants.label": ('"file"', "", "flag", "file", "", "flag"),
    "tenants.unassigned": ("[]", "exec, output", ["terminal"], [], ["exec", "output"], ["terminal"]),
    "spool.max_bytes": ("16777216", "16777217", 16777218, 16777216, 16777217, 16777218),
    "spool.max_hours": ("1", "2", 3, 1, 2, 3),
    "spool.readers": (
        '["sqlite", "kafka"]',
        "kafka, a-b_1",
        ["stdout"],
        ["sqlite", "kafka"],
        ["kafka", "a-b_1"],
        ["stdout"],
    ),
    "spool.keyframe_seconds": ("1", "2", 3, 1, 2, 3),
    "kafka.servers": ('["a:1", "[::1]:2"]', "b:2, c:3", ["d:4"], ["a:1", "[::1]:2"], ["b:2", "c:3"], ["d:4"]),
    "kafka.security_protocol": ('"ssl"', "sasl_ssl", "sasl_plaintext", "ssl", "sasl_ssl", "sasl_plaintext"),
    "kafka.sasl_mechanism": ('"PLAIN"', "SCRAM-SHA-256", "OAUTHBEARER", "PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"),
    "kafka.client": ('["a.b=c"]', "d=e, f=file:/g", [], ["a.b=c"], ["d=e", "f=file:/g"], []),
    **{
        f"kafka.{name}": ('"a"', "b,b", "c", "a", "b,b", "c")
        for name in (
            "group",
            "instance",
            "sasl_username",
            "sasl_password",
            "sasl_password_file",
            "ssl_ca_file",
            "ssl_certificate_file",
            "ssl_key_file",
            "ssl_key_password_file",
        )
    },
    **{
        f"kafka.{name}": ('"a"', "b.b", "C_-", "a", "b.b", "C_-")
        for name in ("topic", "state_topic", "deadletter_topic")
    },
    "enrich.source": ('"spool"', "kafka", "auto", "spool", "kafka", "auto"),
    "enrich.snapshot_seconds": ("1", "2", 3, 1, 2, 3),
    "metrics.agent": ('"[::1]:1"', "b:2", "c:3", "[::1]:1", "b:2", "c:3"),
    "metrics.publisher": ('"[::1]:1"', "b:2", "c:3", "[::1]:1", "b:2", "c:3"),
    "metrics.worker": ('"[::1]:1"', "b:2", "c:3", "[::1]:1", "b:2", "c:3"),
    "store.retention_days": ("1", "2", 3, 1, 2, 3),
    "store.read": ('"elasticsearch"', "sqlite", "elasticsearch", "elasticsearch", "sqlite", "elasticsearch"),
    "elasticsearch.hosts": (
        '["http://a:1/es", "https://[::1]"]',
        "https://b:2, https://c",
        ["https://d:3"],
        ["http://a:1/es", "https://[::1]"],
        ["https://b:2", "https://c"],
        ["https://d:3"],
    ),
    "elasticsearch.proxy": (
        '"http://a:1"',
        "http://u:p@b:2",
        "https://c:3/",
        "http://a:1",
        "http://u:p@b:2",
        "https://c:3/",
    ),
    "elasticsearch.cloud_id": ('"n:YQ=="', "m:YQ", "YQ", "n:YQ==", "m:YQ", "YQ"),
    "elasticsearch.fingerprint": (
        f'"{"aB" * 32}"',
        ":".join(["0f"] * 32),
        "1" * 64,
        "aB" * 32,
        ":".join(["0f"] * 32),
        "1" * 64,
    ),
    **{
        f"elasticsearch.{name}": ('"a"', "b_b", "c.1", "a", "b_b", "c.1")
        for name in (
            "api_key_file",
            "username",
            "password",
            "password_file",
            "ca_file",
            "certificate_file",
            "key_file",
            "namespace",
        )
    },
    "elasticsearch.api_key": ('"YTpi"', "YTpi=", "Y-_+/", "YTpi", "YTpi=", "Y-_+/"),
    "elasticsearch.recordings": ("false", "1", False, False, True, False),
    "elasticsearch.bulk_bytes": ("65536", "65537", 65538, 65536, 65537, 65538),
    "elasticsearch.in_flight": ("1", "2", 3, 1, 2, 3),
    "elasticsearch.timeout_seconds": ("1", "2", 3, 1, 2, 3),
    "secrets.files": ('["/a/b.toml"]', "/x.toml, y.toml", ["z.toml"], ["/a/b.toml"], ["/x.toml", "y.toml"], ["z.toml"]),
    "secrets.disable": ('["jwt"]', "jwt, npm", [], ["jwt"], ["jwt", "npm"], []),
    "documents.forks": ("true", "0", True, True, False, True),
    "documents.output": ('"head"', "all", "none", "head", "all", "none"),
}


def test_every_key_is_tried_below() -> None:
    """A new key is added to the tests of precedence."""
    assert OF_EACH_KEY.keys() == set(keys())


@pytest.mark.parametrize("key", OF_EACH_KEY)
def test_the_later_wins(file: Path, key: str) -> None:
    """The environment overrules the file, and a flag overrules both, for every key."""
    in_file, in_environment, flag, from_file, from_environment, from_flag = OF_EACH_KEY[key]
    section, _, name = key.rpartition(".")
    file.write_text(f"[{section}]\n{name} = {in_file}\n" if section else f"{name} = {in_file}\n")
    variables = {variable(key): in_environment}
    assert value_of(load(file, {}, {}), key) == from_file
    assert value_of(load(file, variables, {}), key) == from_environment
    assert value_of(load(file, variables, {key: flag}), key) == from_flag
    assert value_of(load(None, variables, {key: None}), key) == from_environment
    assert value_of(load(None, {}, {key: flag}), key) == from_flag


def test_one_key_leaves_the_others_alone(file: Path) -> None:
    """What file, environment and flags say of different keys is all kept."""
    file.write_text("data = '/file'\n[capture]\nhost = true\n")
    loaded = load(file, {"CGTRAIL_CAPTURE_RING_BYTES": "65536"}, {"store.retention_days": 7})
    assert (loaded.data, loaded.capture.host) == ("/file", True)
    assert (loaded.capture.ring_bytes, loaded.store.retention_days) == (65536, 7)


def test_the_default_file_is_read_if_it_is_there() -> None:
    """Without a named file the default one counts, and may be missing."""
    config.DEFAULT_FILE.write_text("data = '/default'\n")
    assert load(None, {}, {}).data == "/default"


def test_docker_host_is_the_last_resort(file: Path) -> None:
    """DOCKER_HOST counts only where nothing else names the daemon."""
    variables = {"DOCKER_HOST": "tcp://host:1"}
    assert load(None, variables, {}).runtimes.docker == ["tcp://host:1"]
    assert load(None, variables | {"CGTRAIL_RUNTIMES_DOCKER": "tcp://ours:1"}, {}).runtimes.docker == ["tcp://ours:1"]
    file.write_text("[runtimes]\npodman = []\n")
    assert load(file, variables, {}).runtimes.docker == ["tcp://host:1"]
    file.write_text("[runtimes]\ndocker = ['tcp://file:1']\n")
    assert load(file, variables, {}).runtimes.docker == ["tcp://file:1"]
    assert load(None, {"DOCKER_HOST": ""}, {}) == Config()


@pytest.mark.parametrize(
    "address",
    ["", "x", "/run/docker.sock", "unix://", "unix:///" + "x" * 107, "unix:///a\0b", "tcp://", "tcp://host", "ssh://h",
     "tcp://h:99999", "npipe://x", "http://[", "tcp://u@h:1", "fd://"],
)  # fmt: skip
@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_an_address_that_makes_no_sense_is_named(file: Path, runtime: str, address: str) -> None:
    """With the place, the value and what would be right."""
    file.write_text(f"[runtimes]\n{runtime} = {json.dumps([address])}\n")
    with pytest.raises(ConfigError, match=r"cgtrail\.toml.*unix:///path or tcp://host:port") as raised:
        load(file, {}, {})
    assert f"runtimes.{runtime} has {address!r}" in str(raised.value)


@pytest.mark.parametrize("address", ["", "containerd.sock", "tcp://h:1", "unix://x", "/" + "x" * 107])
def test_an_address_that_is_no_socket_is_named(file: Path, address: str) -> None:
    """containerd is at a socket."""
    file.write_text(f"[runtimes]\ncontainerd = {json.dumps([address])}\n")
    with pytest.raises(ConfigError, match=r"runtimes\.containerd has .*absolute path"):
        load(file, {}, {})


def test_a_docker_host_that_makes_no_sense_is_named() -> None:
    """It was said by the environment."""
    with pytest.raises(ConfigError, match=r"^DOCKER_HOST: runtimes\.docker has 'ssh://host'"):
        load(None, {"DOCKER_HOST": "ssh://host"}, {})


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("dat = '/x'", "dat", "data"),
        ("[capture]\nhosts = true", "capture.hosts", "capture.host"),
        ("[capture]\nring_byte = 1", "capture.ring_byte", "capture.ring_bytes"),
        ("[captur]\nhost = true", "captur", "capture"),
        ("[store]\nretention = 1", "store.retention", "store.retention_days"),
        ("host = true", "host", "capture.host"),
        ("[runtimes]\ndocker = []\ndoker = []", "runtimes.doker", "runtimes.docker"),
        ("zzzz = 1", "zzzz", ""),
    ],
)
def test_an_unknown_key_names_the_nearest(file: Path, text: str, key: str, nearest: str) -> None:
    """A misspelt key is an error that names the file, the key and the one that may be meant."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {}, {})
    message = str(caught.value)
    assert message.startswith(f"{file}: unknown key {key!r}; did you mean '{nearest}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("data = 5", "data"),
        ("[data]\nx = 1", "data"),
        ("[capture]\nhost = 'perhaps'", "capture.host"),
        ("[capture]\nring_bytes = '16M'", "capture.ring_bytes"),
        ("[capture]\nring_bytes = 1.5", "capture.ring_bytes"),
        ("[store]\nretention_days = []", "store.retention_days"),
        ("[runtimes]\ndocker = 5", "runtimes.docker"),
        ("[spool]\nmax_bytes = '2G'", "spool.max_bytes"),
        ("[spool]\nreaders = 'sqlite'", "spool.readers"),
        ("[spool]\nreaders = ['sqlite', 5]", "spool.readers"),
    ],
)
def test_a_wrong_type_names_its_key(file: Path, text: str, key: str) -> None:
    """A value of another type is an error that names file and key."""
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"^{file}: {key}: Expected .*, and found .+$"):
        load(file, {}, {})


@pytest.mark.parametrize(
    ("key", "value"), [("capture.host", "perhaps"), ("store.retention_days", ""), ("capture.ring_bytes", "16M")]
)
def test_a_wrong_variable_names_itself(key: str, value: str) -> None:
    """A value in the environment that doesn't fit names variable and key."""
    with pytest.raises(ConfigError, match=rf"^{variable(key)}: {key}: Expected .*, and found '{value}'$"):
        load(None, {variable(key): value}, {})


@pytest.mark.parametrize("size", [0, -65536, 65535, 65537, 100_000, 1 << 32])
def test_a_ring_has_a_power_of_two(size: int) -> None:
    """Sizes that the kernel would refuse are refused with what it takes."""
    with pytest.raises(ConfigError, match=rf"capture\.ring_bytes is {size}; it must be a power of two"):
        load(None, {}, {"capture.ring_bytes": size})


@pytest.mark.parametrize("days", [0, -1, 36501])
def test_documents_are_kept_a_day_at_least(days: int) -> None:
    """A retention that would keep nothing, or end beyond the calendar, is refused."""
    with pytest.raises(ConfigError, match=rf"store\.retention_days is {days}; it must be from 1 to 36500"):
        load(None, {}, {"store.retention_days": days})


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [
        ("capture.max_cgroups", 256, 1 << 22),
        ("spool.max_bytes", 16777216, 1 << 60),
        ("spool.max_hours", 1, 8760),
        ("spool.keyframe_seconds", 1, 3600),
        ("enrich.snapshot_seconds", 1, 86400),
    ],
)
def test_numbers_have_a_range(key: str, least: int, most: int) -> None:
    """Its ends are taken; what lies beyond is refused with the range and the place."""
    for number in (least, most):
        assert value_of(load(None, {}, {key: number}), key) == number
    for number in (least - 1, most + 1, -1, 0, 10**30):
        with pytest.raises(
            ConfigError, match=rf"^{variable(key)}: {key} is {number}; it must be from {least} to {most}$|Expected"
        ):
            load(None, {variable(key): str(number)}, {})


@pytest.mark.parametrize("name", ["..", "a/b", "a b", "", "-a", "ä", "a\n", "a.json"])
def test_a_readers_name_is_a_files_name(file: Path, name: str) -> None:
    """A name that can be no reader's is refused with what it is made of."""
    file.write_text(f"[spool]\nreaders = ['sqlite', {json.dumps(name)}]\n")
    with pytest.raises(ConfigError, match=rf"^{file}: spool\.readers has .*; a reader's name is made of letters"):
        load(file, {}, {})


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("files", ["tenants"], "a file is a path without commas that ends in .yaml, .yml or .csv"),
        ("files", ["a.yaml", "a,b.csv"], "a file is a path without commas that ends in .yaml, .yml or .csv"),
        ("files", [" a.csv"], "a file is a path without commas that ends in .yaml, .yml or .csv"),
        ("files", ["a\0.csv"], "a file is a path without commas that ends in .yaml, .yml or .csv"),
        ("unassigned", ["exec", "Output"], "it may have exec, terminal, output"),
        ("label", "a=b", "it must be the key of a label, of up to 256 printable characters without '=', or empty"),
        ("label", "a\nb", "it must be the key of a label, of up to 256 printable characters without '=', or empty"),
        ("label", "a" * 257, "it must be the key of a label, of up to 256 printable characters without '=', or empty"),
    ],
)
def test_what_can_say_nothing_of_tenants(file: Path, key: str, value: object, wanted: str) -> None:
    """A file, label or policy that can't be one is refused with what can be."""
    file.write_text(f"[tenants]\n{key} = {json.dumps(value)}\n")
    told = value if isinstance(value, str) else list(value)[-1] if isinstance(value, list) else ""
    verb = "is" if isinstance(value, str) else "has"
    with pytest.raises(ConfigError) as refused:
        load(file, {}, {})
    assert str(refused.value) == f"{file}: tenants.{key} {verb} {told!r}; {wanted}"


def test_policies_are_those_that_the_kernel_knows() -> None:
    """What configuration and files can ask for is what records can say."""
    assert tuple(POLICIES) == config.POLICIES


@pytest.mark.parametrize(
    ("text", "readers"),
    [("", []), (",", []), ("a", ["a"]), (" a ,b,, ", ["a", "b"]), ("sqlite,kafka", ["sqlite", "kafka"])],
)
def test_the_environment_lists_readers_with_commas(text: str, readers: list[str]) -> None:
    """Nothing between commas is nothing; no reader at all may be declared."""
    assert load(None, {"CGTRAIL_SPOOL_READERS": text}, {}).spool.readers == readers


def test_a_section_is_no_value(file: Path) -> None:
    """A section that was written as a value is explained."""
    file.write_text("capture = true\n")
    with pytest.raises(ConfigError, match=r"'capture' is a section, not a value: write \[capture\]"):
        load(file, {}, {})


def test_a_file_of_another_system(file: Path) -> None:
    """A byte order mark and CRLF change nothing, and TOML is UTF-8 whatever the locale."""
    file.write_bytes("\ufeff[tenants]\r\nlabel = 'kunde.für'\r\n".encode())
    assert load(file, {}, {}).tenants.label == "kunde.für"


def test_a_named_file_must_exist(file: Path) -> None:
    """A file that was asked for and is missing is an error that names it."""
    with pytest.raises(ConfigError, match=f"{file}: .*No such file"):
        load(file, {}, {})


@pytest.mark.parametrize("content", [b"data = ", b"data = '\xff'", b"[capture\n", b"data = 'a'\ndata = 'b'\n"])
def test_a_broken_file_is_named(file: Path, content: bytes) -> None:
    """A file that is no TOML is an error that names it."""
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^{file}: "):
        load(file, {}, {})


@given(
    st.builds(
        Config,
        data=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
        capture=st.builds(
            settings.Capture,
            host=st.booleans(),
            ring_bytes=st.sampled_from([1 << n for n in range(16, 32)]),
            max_cgroups=st.integers(256, 1 << 22),
        ),
        tenants=st.builds(
            settings.Tenants,
            files=st.lists(st.from_regex(r"[^\s,\0]{1,20}\.(yaml|csv)", fullmatch=True)),
            label=st.text(st.characters(categories=["L", "N", "P"], exclude_characters="="), max_size=256),
            unassigned=st.lists(st.sampled_from(config.POLICIES)),
        ),
        spool=st.builds(
            settings.Spool,
            max_bytes=st.integers(16 << 20, 1 << 60),
            max_hours=st.integers(1, 8760),
            readers=st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]*", fullmatch=True)),
            keyframe_seconds=st.integers(1, 3600),
        ),
        kafka=st.builds(
            settings.Kafka,
            servers=st.lists(st.from_regex(r"[a-z0-9.-]{1,20}:[1-9][0-9]{0,3}", fullmatch=True)),
            security_protocol=st.sampled_from(settings_kafka.PROTOCOLS),
            sasl_mechanism=st.sampled_from(("", *settings_kafka.MECHANISMS)),
            sasl_password=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            client=st.lists(st.from_regex(r"sasl\.[a-z.]{3,9}=[^\s,\0]{1,20}", fullmatch=True)),
        ),
        enrich=st.builds(
            settings.Enrich, source=st.sampled_from(settings.SOURCES), snapshot_seconds=st.integers(1, 86400)
        ),
        store=st.builds(settings.Store, retention_days=st.integers(1, 10_000), read=st.sampled_from(settings.STORES)),
        elasticsearch=st.builds(
            settings.Elasticsearch,
            hosts=st.lists(st.from_regex(r"https?://[a-z0-9.-]{1,20}:[1-9][0-9]{0,3}(/[a-z]{0,5})?", fullmatch=True)),
            api_key=st.from_regex(r"[A-Za-z0-9+/_-]{1,30}={0,2}", fullmatch=True),
            password=st.text(st.characters(categories=["L", "N", "P"])),
            recordings=st.booleans(),
            in_flight=st.integers(1, 64),
        ),
        documents=st.builds(settings.Documents, forks=st.booleans(), output=st.sampled_from(settings.OUTPUTS)),
    )
)
def test_a_child_gets_the_same_configuration(wanted: Config) -> None:
    """The environment made for a child process gives it exactly this configuration, whatever ours is."""
    assert load(None, environment(wanted), {}) == wanted


def test_a_child_keeps_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the environment goes on to a child."""
    monkeypatch.setenv("SOMETHING", "else")
    assert environment(Config())["SOMETHING"] == "else"
    assert environment(Config()).keys() - os.environ.keys() <= {variable(key) for key in keys()}


def test_a_failed_load_changes_no_default(file: Path) -> None:
    """Sections of one configuration are not another's."""
    file.write_text("[capture]\nhost = true\n")
    assert load(file, {}, {}).capture.host
    assert not load(None, {}, {}).capture.host


def test_the_folders_are_below_data() -> None:
    """Spool and store have their places in the data folder."""
    loaded = load(None, {}, {"data": "/x"})
    assert (loaded.folder, loaded.spool_folder, loaded.store_folder) == (Path("/x"), Path("/x/spool"), Path("/x/store"))


def test_what_is_kept_of_output_is_one_of_three(file: Path) -> None:
    """Another word than none, head and all is refused; the worker knows all three."""
    file.write_text('[documents]\noutput = "tail"\n')
    with pytest.raises(ConfigError, match=re.escape("documents.output is 'tail'; it must be one of none, head, all")):
        load(file, {}, {})
    assert tuple(KEPT) == settings.OUTPUTS


def test_every_key_is_documented() -> None:
    """docs/configuration.md lists every key with its variable and its default."""
    page = (Path(config.__file__).parent.parent / "docs" / "configuration.md").read_text()
    defaults = environment(Config())
    for key in keys():
        assert f"| `{key}` | `{variable(key)}` | `{defaults[variable(key)]}` |" in page


def test_an_unknown_variable_names_the_nearest() -> None:
    """A misspelt variable is not passed over."""
    with pytest.raises(ConfigError, match=r"'CGTRAIL_CAPTUR_HOST'; did you mean 'CGTRAIL_CAPTURE_HOST'\?"):
        load(None, {"CGTRAIL_CAPTUR_HOST": "1"}, {})


@pytest.mark.parametrize("data", ["", "a\0b", "/etc/passwd"])
def test_data_is_a_folder(data: str) -> None:
    """What can be no folder is refused at once, with what to do."""
    with pytest.raises(ConfigError, match=r"is no folder; name one with --data$") as refused:
        load(None, {"CGTRAIL_DATA": data}, {})
    assert str(refused.value).startswith("CGTRAIL_DATA: ")


def test_a_deep_file_is_refused(file: Path) -> None:
    """A file nested beyond reason is an error like any other."""
    file.write_text("a = " + "[" * 5000)
    with pytest.raises(ConfigError, match=str(file)):
        load(file, {}, {})


@pytest.mark.parametrize(("port", "fits"), [(0, True), (65535, True), (65536, False), (99999, False)])
def test_a_port_has_a_range(port: int, fits: bool) -> None:
    """A port that there can't be is refused before anybody tries to listen there."""
    variables = {"CGTRAIL_METRICS_WORKER": f"127.0.0.1:{port}"}
    if fits:
        assert load(None, variables, {}).metrics.worker == f"127.0.0.1:{port}"
        return
    with pytest.raises(ConfigError, match=r"^CGTRAIL_METRICS_WORKER: .*at most 65535"):
        load(None, variables, {})
