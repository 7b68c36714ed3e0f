"""Compose projects and what Docker Compose makes of them, as data.

Each case says which upstream table or chapter its facts follow (compose-go v2.13.0 unless it says
otherwise). test_compose.py holds our reader to `want`; test_against_compose.py holds `want` and
our reader to a real `docker compose` where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Refused(NamedTuple):
    where: str
    """`file:line`, relative to the project."""
    words: str


class Case(NamedTuple):
    name: str
    follows: str
    files: dict[str, str]
    want: dict[str, dict[str, Any]] | Refused
    """By service: `env` (None for a name that the container will not have), fields of Spec, or where it is refused."""
    use: tuple[str, ...] = ("compose.yaml",)
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    environ: Mapping[str, str] = MappingProxyType({})
    services: tuple[str, ...] = ()
    since: str = ""
    """The first Docker Compose that does so; empty for any 2.x."""


def _one(text: str) -> dict[str, str]:
    return {"compose.yaml": text}


def _two(base: str, over: str, **more: str) -> dict[str, str]:
    return {"compose.yaml": base, "over.yaml": over, **more}


BOTH = ("compose.yaml", "over.yaml")

ENVIRONMENT = [
    Case(
        "environment: sequence over sequence",
        "override/merge_environment_test.go Test_mergeYamlEnvironmentSequence",
        _two(
            """\
            services:
              test:
                image: foo
                environment:
                  - FOO=BAR
            """,
            """\
            services:
              test:
                environment:
                  - QIX=ZOT
                  - EMPTY=
                  - NIL
            """,
        ),
        {"test": {"env": {"FOO": "BAR", "QIX": "ZOT", "EMPTY": "", "NIL": None}, "image": "foo"}},
        use=BOTH,
    ),
    Case(
        "environment: mapping over mapping",
        "override/merge_environment_test.go Test_mergeYamlEnvironmentMapping",
        _two(
            """\
            services:
              test:
                image: foo
                environment:
                  FOO: BAR
            """,
            """\
            services:
              test:
                environment:
                  EMPTY: ""
                  NIL: null
                  QIX: ZOT
            """,
        ),
        {"test": {"env": {"FOO": "BAR", "EMPTY": "", "NIL": None, "QIX": "ZOT"}}},
        use=BOTH,
    ),
    Case(
        "environment: sequence over mapping",
        "override/merge_environment_test.go Test_mergeYamlEnvironmentMixed",
        _two(
            """\
            services:
              test:
                image: foo
                environment:
                  FOO: BAR
                  QIX: old
            """,
            """\
            services:
              test:
                environment:
                  - QIX=ZOT
            """,
        ),
        {"test": {"env": {"FOO": "BAR", "QIX": "ZOT"}}},
        use=BOTH,
    ),
    Case(
        "environment: numbers",
        "override/merge_environment_test.go Test_mergeYamlEnvironmentNumber",
        _two(
            "services: {test: {image: foo, environment: {FOO: 1}}}\n",
            "services: {test: {environment: {FOO: 3}}}\n",
        ),
        {"test": {"env": {"FOO": "3"}}},
        use=BOTH,
    ),
    Case(
        "environment: a list keeps text, a map what YAML makes of it",
        "types/mapping.go mappingValue; go-yaml resolve.go",
        _one(
            """\
            services:
              list:
                image: foo
                environment: [A=012, B=1.50, C=yes, D=true, "E=0x10"]
              map:
                image: foo
                environment: {A: 012, B: 1.50, C: yes, D: True, E: 0x10, F: 1_000, G: 12345678.9, H: "1.50", I: 1e3}
            """
        ),
        {
            "list": {"env": {"A": "012", "B": "1.50", "C": "yes", "D": "true", "E": "0x10"}},
            "map": {
                "env": {
                    "A": "10",
                    "B": "1.5",
                    "C": "yes",
                    "D": "true",
                    "E": "16",
                    "F": "1000",
                    "G": "1.23456789e+07",
                    "H": "1.50",
                    "I": "1000",
                }
            },
        },
    ),
    Case(
        "environment: a name without a value is taken from outside",
        "types/project.go WithServicesEnvironmentResolved",
        {
            "compose.yaml": """\
            services:
              a:
                image: foo
                environment: [FROM_SHELL, FROM_DOTENV, EMPTY_OUTSIDE, NOWHERE]
              b:
                image: foo
                environment: {FROM_SHELL: , FROM_DOTENV: null, EMPTY_OUTSIDE: ~, NOWHERE: }
            """,
            ".env": "FROM_DOTENV=d\nFROM_SHELL=lost\n",
        },
        {
            name: {"env": {"FROM_SHELL": "s", "FROM_DOTENV": "d", "EMPTY_OUTSIDE": "", "NOWHERE": None}}
            for name in ("a", "b")
        },
        environ={"FROM_SHELL": "s", "EMPTY_OUTSIDE": ""},
    ),
    Case(
        "environment: the same name twice in a list",
        "override/uncity.go keyValueIndexer",
        _one("services: {a: {image: foo, environment: [A=1, B=2, A=3]}}\n"),
        {"a": {"env": {"A": "3", "B": "2"}}},
    ),
    Case(
        "environment: trailing space in a name",
        "types/mapping.go DecodeMapstructure",
        _one(
            """\
            services:
              a:
                image: foo
                environment:
                  - "A =1"
            """
        ),
        Refused("compose.yaml:5", "trailing space"),
    ),
    Case(
        "environment: a date is refused",
        "schema/compose-spec.json list_or_dict; go-yaml parseTimestamp",
        _one(
            """\
            services:
              a:
                image: foo
                environment:
                  RELEASED: 2026-11-24
            """
        ),
        Refused("compose.yaml:5", "date"),
    ),
]

ENV_FILES = [
    Case(
        "env_file: environment beats it, a later file an earlier one",
        "types/project.go WithServicesEnvironmentResolved",
        {
            "compose.yaml": """\
            services:
              a:
                image: foo
                env_file: [one.env, two.env]
                environment: {A: own}
            """,
            "one.env": "A=1\nB=1\nC=1\n",
            "two.env": "B=2\n",
        },
        {"a": {"env": {"A": "own", "B": "2", "C": "1"}}},
    ),
    Case(
        "env_file: merged as a list, each path once",
        "override/merge_env_file_test.go TestMergeEnvFilesMixed",
        _two(
            "services: {test: {image: foo, env_file: [bar.env, foo.env]}}\n",
            "services: {test: {env_file: [{path: foo.env, required: true}, baz.env]}}\n",
            **{"bar.env": "A=bar\nB=bar\n", "foo.env": "A=foo\n", "baz.env": "C=baz\n"},
        ),
        {"test": {"env": {"A": "foo", "B": "bar", "C": "baz"}}},
        use=BOTH,
    ),
    Case(
        "env_file: one string over one string",
        "override/merge_env_file_test.go TestMergeEnvFilesString",
        _two(
            "services: {test: {image: foo, env_file: foo.env}}\n",
            "services: {test: {env_file: bar.env}}\n",
            **{"bar.env": "A=bar\n", "foo.env": "A=foo\nB=foo\n"},
        ),
        {"test": {"env": {"A": "bar", "B": "foo"}}},
        use=BOTH,
    ),
    Case(
        "env_file: missing and required",
        "types/project.go loadEnvFile",
        _one(
            """\
            services:
              a:
                image: foo
                env_file: nowhere.env
            """
        ),
        Refused("compose.yaml:4", "nowhere.env: no such file"),
    ),
    Case(
        "env_file: missing and not required",
        "types/project.go loadEnvFile",
        _one("services: {a: {image: foo, env_file: [{path: nowhere.env, required: false}]}}\n"),
        {"a": {"env": {}}},
    ),
    Case(
        "env_file: its variables know the shell, then environment, then the file",
        "types/project.go WithServicesEnvironmentResolved, lookup order",
        {
            "compose.yaml": """\
            services:
              a:
                image: foo
                env_file: a.env
                environment: {OWN: own}
            """,
            "a.env": "A=${SHELL_HAS}-${OWN}-${EARLIER:-no}\nEARLIER=yes\nB=${EARLIER}\nSHELL_HAS=file\nC=$SHELL_HAS\n",
        },
        {
            "a": {
                "env": {
                    "A": "s-own-no",
                    "B": "yes",
                    "C": "s",
                    "EARLIER": "yes",
                    "OWN": "own",
                    "SHELL_HAS": "file",
                }
            }
        },
        environ={"SHELL_HAS": "s"},
    ),
    Case(
        "env_file: raw",
        "docker/cli opts/env.go ParseEnvFile",
        {
            "compose.yaml": "services: {a: {image: foo, env_file: [{path: a.env, format: raw}]}}\n",
            "a.env": '# comment\nA="quoted" # not a comment\nB=$HOME\n',
        },
        {"a": {"env": {"A": '"quoted" # not a comment', "B": "$HOME"}}},
        environ={"HOME": "/home/u"},
    ),
    Case(
        "env_file: of a service in a profile that is off is not read",
        "loader/loader.go ModelToProject",
        _one(
            """\
            services:
              a: {image: foo}
              b: {image: foo, profiles: [x], env_file: nowhere.env}
            """
        ),
        {"a": {}},
    ),
    Case(
        ".env and --env-file: the shell wins, the last file wins, the default is not read then",
        "dotenv/godotenv_test.go TestMultipleFiles; cli/options.go WithDotEnv",
        {
            "compose.yaml": "services: {a: {image: foo, environment: {H: '$H', URL: '$URL', D: '${D-unset}'}}}\n",
            ".env": "D=default file\n",
            "base.env": 'H=localhost\nURL="http://${H}"\n',
            "over.env": 'H=dev.example\nURL="http://${H}"\n',
        },
        {"a": {"env": {"H": "host.local", "URL": "http://host.local", "D": "unset"}}},
        env_files=("base.env", "over.env"),
        environ={"H": "host.local"},
    ),
]

INTERPOLATION = [
    Case(
        "interpolation: all forms",
        "template/template_test.go",
        _one(
            """\
            services:
              a:
                image: foo
                environment:
                  A: ${SET}
                  B: $SET
                  C: ${UNSET:-d}
                  D: ${EMPTY:-d}
                  E: ${EMPTY-d}
                  F: ${UNSET-d}
                  G: ${SET:+alt}
                  H: ${EMPTY:+alt}
                  I: ${EMPTY+alt}
                  J: ${UNSET+alt}
                  K: ${UNSET:-${SET}/x}
                  L: $${SET}
                  M: ${SET:?must}
                  N: ${EMPTY?must}
                  O: '${UNSET:-{"a":1}}'
                  P: $SET-x
                  Q: a $ b
            """
        ),
        {
            "a": {
                "env": {
                    "A": "first",
                    "B": "first",
                    "C": "d",
                    "D": "d",
                    "E": "",
                    "F": "d",
                    "G": "alt",
                    "H": "",
                    "I": "alt",
                    "J": "",
                    "K": "first/x",
                    "L": "${SET}",
                    "M": "first",
                    "N": "",
                    "O": '{"a":1}',
                    "P": "first-x",
                    "Q": "a $ b",
                }
            }
        },
        environ={"SET": "first", "EMPTY": ""},
    ),
    Case(
        "interpolation: required and unset",
        "template/template_test.go TestMandatoryVariableErrors",
        _one(
            """\
            services:
              a:
                image: foo
                environment:
                  NODE_RANK: ${NODE_RANK:?set 0 on head, 1 on worker}
            """
        ),
        Refused("compose.yaml:5", "required variable NODE_RANK is missing a value: set 0 on head, 1 on worker"),
    ),
    Case(
        "interpolation: required in a service that is off",
        "loader/loader.go interpolates a file whole",
        _one(
            """\
            services:
              a: {image: foo}
              b:
                image: ${IMAGE:?which}
                profiles: [x]
            """
        ),
        Refused("compose.yaml:4", "IMAGE"),
    ),
    Case(
        "interpolation: an unknown form",
        "template/template_test.go TestInvalid",
        _one("services:\n  a:\n    image: ${IMAGE:=foo}\n"),
        Refused("compose.yaml:3", "${IMAGE:=foo}"),
    ),
    Case(
        "interpolation: numbers and booleans from variables",
        "loader/interpolate.go interpolateTypeCastMapping",
        _one(
            """\
            services:
              a:
                image: foo
                privileged: ${PRIVILEGED}
                ulimits: {memlock: "${LIMIT}"}
                shm_size: ${SHM}
            """
        ),
        {"a": {"privileged": True, "memlock": -1, "shm_size": 64 << 30}},
        environ={"PRIVILEGED": "yes", "LIMIT": "-1", "SHM": "64gb"},
    ),
    Case(
        "interpolation: a memlock that is no number",
        "loader/interpolate.go toInt",
        _one("services:\n  a:\n    image: foo\n    ulimits:\n      memlock: unlimited\n"),
        Refused("compose.yaml:5", "unlimited"),
    ),
]

YAML = [
    Case(
        "yaml: merge keys, own keys win, the first of several maps wins",
        "loader/loader_yaml_test.go; yaml.org/type/merge.html",
        _one(
            """\
            x-one: &one
              image: one
              environment: &env {A: one, B: one}
              shm_size: 1gb
            x-two: &two
              image: two
              ipc: host
            services:
              a:
                <<: [*one, *two]
                shm_size: 2gb
              b:
                <<: *one
                environment:
                  <<: *env
                  B: own
            """
        ),
        {
            "a": {"image": "one", "ipc": "host", "shm_size": 2 << 30, "env": {"A": "one", "B": "one"}},
            "b": {"image": "one", "shm_size": 1 << 30, "env": {"A": "one", "B": "own"}},
        },
    ),
    Case(
        "yaml: a service that is an alias",
        "loader/reset_test.go TestResetCycle simple_alias_no_cycle",
        _one("services:\n  a: &a\n    image: alpine\n  a2: *a\n"),
        {"a": {"image": "alpine"}, "a2": {"image": "alpine"}},
    ),
    Case(
        "yaml: several documents in one file",
        "loader/loader.go loadYamlFile",
        _one("services: {a: {image: one, environment: {A: 1}}}\n---\nservices: {a: {image: two}}\n"),
        {"a": {"image": "two", "env": {"A": "1"}}},
    ),
    Case(
        "yaml: a key twice",
        "loader/merge_reset_test.go Test_DuplicateReset",
        _one("services:\n  foo:\n    image: foo\n    command: hello\n    command: world\n"),
        Refused("compose.yaml:5", "`command` is here twice, first in line 4"),
    ),
    Case(
        "yaml: a key that is no text",
        "loader/loader.go convertToStringKeysRecursive",
        _one("services:\n  a:\n    image: foo\n    environment:\n      1: x\n"),
        Refused("compose.yaml:5", "`1`"),
    ),
    Case(
        "yaml: not closed",
        "loader/loader_test.go",
        _one("services:\n  a:\n    image: [foo\n"),
        Refused("compose.yaml:4", "not YAML"),
    ),
    Case(
        "yaml: a tab",
        "YAML 1.2, 6.1",
        _one("services:\n  a:\n\timage: foo\n"),
        Refused("compose.yaml:3", "not YAML"),
    ),
    Case(
        "yaml: an alias to nothing",
        "YAML 1.2, 7.1",
        _one("services:\n  a: *nowhere\n"),
        Refused("compose.yaml:2", "nowhere"),
    ),
    Case(
        "yaml: a circle of aliases",
        "loader/reset_test.go TestResetCycle direct_self_reference_cycle",
        _one("x-a: &a\n  b:\n    <<: *a\nservices: {a: {image: foo}}\n"),
        Refused("compose.yaml:1", "alias"),
    ),
    Case(
        "yaml: services is a list",
        "schema/compose-spec.json",
        _one("services:\n  - a\n"),
        Refused("compose.yaml:1", "`services` must be a mapping"),
    ),
    Case(
        "yaml: empty", "loader/loader.go load, `empty compose file`", _one("# nothing\n"), Refused("compose.yaml", "")
    ),
    Case(
        "yaml: no mapping",
        "loader/loader.go `top-level object must be a mapping`",
        _one("- a\n"),
        Refused("compose.yaml:1", ""),
    ),
]

MERGE = [
    Case(
        "merge: command and entrypoint are replaced",
        "override/merge.go mergeSpecials",
        _two(
            "services: {a: {image: foo, command: [a, b], entrypoint: [e]}}\n",
            "services: {a: {command: [c], entrypoint: [f]}}\n",
        ),
        {"a": {"argv": ("f", "c")}},
        use=BOTH,
    ),
    Case(
        "merge: volumes by target",
        "override/merge_volumes_test.go; loader/override_test.go TestOverrideVolume",
        _two(
            """\
            services:
              test:
                image: foo
                volumes:
                  - one:/a
                  - type: bind
                    source: ./b
                    target: /b
                  - /old:/d/
            """,
            """\
            services:
              test:
                volumes:
                  - two:/c
                  - /new:/d:ro
            volumes: {one: {}, two: {}}
            """,
        ),
        {
            "test": {
                "mounts": (("one", "/a", False), ("/p/b", "/b", False), ("/new", "/d", True), ("two", "/c", False)),
            }
        },
        use=BOTH,
    ),
    Case(
        "merge: devices by target",
        "override/merge_devices_test.go Test_mergeYamlDevicesOverride",
        _two(
            "services: {test: {image: foo, devices: ['/dev/sda:/dev/sda', '/dev/sdd:/dev/sdd']}}\n",
            "services: {test: {devices: ['/dev/nvme0n1p1:/dev/sda', '/dev/infiniband']}}\n",
        ),
        {"test": {"devices": ("/dev/sda", "/dev/sdd", "/dev/infiniband")}},
        use=BOTH,
    ),
    Case(
        "merge: ulimits one by one, a limit as a whole",
        "override/merge_ulimits_test.go; override/merge.go mergeUlimit",
        _two(
            "services: {test: {image: foo, ulimits: {memlock: {soft: 1, hard: 2}, nofile: 5}}}\n",
            "services: {test: {ulimits: {memlock: -1}}}\n",
        ),
        {"test": {"memlock": -1}},
        use=BOTH,
    ),
    Case(
        "merge: capabilities once each",
        "override/merge_cap_test.go",
        _two(
            "services: {test: {image: foo, cap_add: [CAP_BPF, CAP_CHOWN]}}\n",
            "services: {test: {cap_add: [CAP_CHOWN, IPC_LOCK]}}\n",
        ),
        {"test": {"cap_add": ("CAP_BPF", "CAP_CHOWN", "IPC_LOCK")}},
        use=BOTH,
    ),
    Case(
        "merge: null keeps what was there",
        "override/merge.go MergeYaml",
        _two(
            "services: {a: {image: foo, shm_size: 1gb, devices: [/dev/infiniband], command: [a]}}\n",
            "services: {a: {image: , shm_size: null, devices: , command: null}}\n",
        ),
        {"a": {"image": "foo", "shm_size": 1 << 30, "devices": ("/dev/infiniband",), "argv": ()}},
        use=BOTH,
    ),
    Case(
        "merge: a mapping does not override a list",
        "override/merge.go `cannot override`",
        _two(
            "services:\n  a:\n    image: foo\n    devices: [/dev/a]\n",
            "services:\n  a:\n    devices: {a: b}\n",
        ),
        Refused("over.yaml:3", "cannot override"),
        use=BOTH,
    ),
    Case(
        "reset: a value and a variable",
        "loader/merge_reset_test.go",
        _two(
            "services: {foo: {image: one, shm_size: 1gb, environment: {FOO: BAR, A: 1}, devices: [/dev/a]}}\n",
            "services: {foo: {image: foo, shm_size: !reset , environment: {FOO: !reset }, devices: !reset []}}\n",
        ),
        {"foo": {"image": "foo", "shm_size": None, "env": {"A": "1"}, "devices": None}},
        use=BOTH,
    ),
    Case(
        "reset: in an anchor that two services share",
        "loader/reset_test.go TestResetTagWithSharedAlias",
        _two(
            "services: {a: {image: x, devices: [/dev/a]}, b: {image: y, devices: [/dev/b]}}\n",
            "x-r: &r {devices: !reset []}\nservices: {a: {<<: *r}, b: {<<: *r}}\n",
        ),
        {"a": {"devices": None}, "b": {"devices": None}},
        use=BOTH,
        since="5.3.0",
    ),
    Case(
        "override: replaces a list and an environment",
        "docs 13-merge.md, Replace value",
        _two(
            "services: {a: {image: x, devices: [/dev/a], environment: {A: 1}}}\n",
            "services: {a: {devices: !override [/dev/b], environment: !override {B: 2}}}\n",
        ),
        {"a": {"devices": ("/dev/b",), "env": {"B": "2"}}},
        use=BOTH,
    ),
    Case(
        "override: in the middle of a chain of extends",
        "loader/override_test.go TestOverrideMiddle",
        {
            "compose.yaml": """\
            services:
              test:
                image: test
                extends: {file: ./over.yaml, service: over}
                volumes: [/zot:/zot]
            """,
            "over.yaml": """\
            services:
              over:
                extends: {file: ./base.yaml, service: base}
                volumes: !override [/bar:/bar]
            """,
            "base.yaml": "services: {base: {volumes: [/foo:/foo]}}\n",
        },
        {"test": {"mounts": (("/bar", "/bar", False), ("/zot", "/zot", False))}},
    ),
]

PROJECT = [
    Case(
        "extends: same file, chain, own values win",
        "loader/extends_test.go TestLoadExtendsListener",
        _one(
            """\
            services:
              foo: {image: busybox, extends: bar}
              bar: {image: alpine, command: [echo, bar], extends: wee}
              wee: {extends: {service: last}, command: [echo], environment: {A: wee}}
              last: {image: python, environment: {A: last, B: last}}
            """
        ),
        {
            "foo": {"image": "busybox", "argv": ("echo", "bar"), "env": {"A": "wee", "B": "last"}},
            "bar": {"image": "alpine"},
            "wee": {"image": "python"},
            "last": {"image": "python"},
        },
    ),
    Case(
        "extends: paths start from the file they are written in",
        "loader/extends_test.go TestExtendsRelativePath, testdata/extends/withdir",
        {
            "compose.yaml": """\
            services:
              a:
                extends: {file: sub/base.yaml, service: base}
                volumes: [./here:/here]
            """,
            "sub/base.yaml": """\
            services:
              base:
                extends: {file: deep/deepest.yaml, service: deepest}
                image: foo
                env_file: base.env
                volumes: [./there:/there, ../up:/up]
            """,
            "sub/deep/deepest.yaml": "services: {deepest: {volumes: ['./down:/down'], env_file: [d.env]}}\n",
            "sub/base.env": "A=base\n",
            "sub/deep/d.env": "A=deep\nB=deep\n",
        },
        {
            "a": {
                "mounts": (
                    ("/p/sub/deep/down", "/down", False),
                    ("/p/sub/there", "/there", False),
                    ("/p/up", "/up", False),
                    ("/p/here", "/here", False),
                ),
                "env": {"A": "base", "B": "deep"},
            }
        },
    ),
    Case(
        "extends: in a circle",
        "loader/extends.go cycleTracker",
        _one("services:\n  a:\n    extends: b\n  b:\n    extends: a\n"),
        Refused("compose.yaml:3", "in a circle: a extends b extends a"),
    ),
    Case(
        "extends: a service that is not there",
        "loader/extends.go",
        _one("services:\n  a:\n    image: foo\n    extends: b\n"),
        Refused("compose.yaml:4", "no service `b`"),
    ),
    Case(
        "extends: a file that is not there",
        "loader/extends.go",
        _one("services:\n  a:\n    image: foo\n    extends: {file: no.yaml, service: b}\n"),
        Refused("compose.yaml:4", "no.yaml: no such file"),
    ),
    Case(
        "extends: names no service",
        "loader/extends_test.go TestExtendsWihtMissingService",
        _one("services:\n  a:\n    image: foo\n    extends: {file: compose.yaml}\n"),
        Refused("compose.yaml:4", "names no `service`"),
    ),
    Case(
        "include: own folder, own .env, own values laid over",
        "loader/include_test.go; 14-include.md",
        {
            "compose.yaml": """\
            include:
              - sub/compose.yaml
              - path: [other.yaml, other2.yaml]
                env_file: other.env
            services:
              a: {image: foo}
            """,
            ".env": "WHO=main\n",
            "sub/compose.yaml": """\
            services:
              b: {image: "b:${WHO}-${SUB}", volumes: ['./v:/v'], shm_size: 1gb}
            """,
            "sub/.env": "WHO=sub\nSUB=1\n",
            "other.yaml": "services: {c: {image: 'c:${OTHER}'}}\n",
            "other2.yaml": "services: {c: {ipc: host}}\n",
            "other.env": "OTHER=2\n",
        },
        {
            "a": {"image": "foo"},
            "b": {"image": "b:main-1", "mounts": (("/p/sub/v", "/v", False),), "shm_size": 1 << 30},
            "c": {"image": "c:2", "ipc": "host"},
        },
    ),
    Case(
        "include: own values are laid over the included ones",
        "loader/include.go importResource",
        {
            "compose.yaml": "include: [sub/compose.yaml]\nservices: {b: {shm_size: 2gb, environment: {A: 2}}}\n",
            "sub/compose.yaml": "services: {b: {image: foo, shm_size: 1gb, environment: {A: 1, B: 1}}}\n",
        },
        {"b": {"image": "foo", "shm_size": 2 << 30, "env": {"A": "2", "B": "1"}}},
        since="5.0.0",
    ),
    Case(
        "include: in a circle",
        "loader/include_test.go; testdata/compose-include-cycle.yaml",
        {
            "compose.yaml": "include:\n  - other.yaml\nservices: {a: {image: foo}}\n",
            "other.yaml": "include:\n  - compose.yaml\nservices: {b: {image: foo}}\n",
        },
        Refused("other.yaml:2", "in a circle"),
    ),
    Case(
        "profiles: on, off, by name, all",
        "types/project_test.go; types/types.go HasProfile",
        _one(
            """\
            services:
              always: {image: foo}
              head: {image: foo, profiles: [head]}
              worker: {image: foo, profiles: [worker, all]}
            """
        ),
        {"always": {}, "worker": {}},
        profiles=("worker",),
    ),
    Case(
        "profiles: COMPOSE_PROFILES of the .env file",
        "cli/options.go WithDefaultProfiles",
        {
            "compose.yaml": "services: {a: {image: foo}, head: {image: foo, profiles: [head]}, w: {image: foo, profiles: [w]}}\n",
            ".env": "COMPOSE_PROFILES=head,x\n",
        },
        {"a": {}, "head": {}},
    ),
    Case(
        "profiles: all of them",
        "types/types.go HasProfile",
        _one("services: {a: {image: foo, profiles: [x]}, b: {image: foo, profiles: [y]}}\n"),
        {"a": {}, "b": {}},
        profiles=("*",),
    ),
    Case(
        "services: a named one is on whatever its profile",
        "types/project.go WithServicesEnabled",
        _one("services: {a: {image: foo}, head: {image: foo, profiles: [head]}}\n"),
        {"head": {}},
        services=("head",),
    ),
    Case(
        "services: an unknown one",
        "types/project.go",
        _one("services: {a: {image: foo}, b: {image: foo}}\n"),
        Refused("compose.yaml", "no service `c`; it has a, b"),
        services=("c",),
    ),
]

SETTINGS = [
    Case(
        "settings: all that a rank notices",
        "05-services.md; transform/, types/bytes.go",
        _one(
            """\
            services:
              a:
                image: foo
                ulimits: {memlock: {soft: 8388608, hard: -1}}
                shm_size: 10.24g
                ipc: host
                network_mode: host
                privileged: true
                cap_add: [IPC_LOCK]
                user: "1000:1000"
                gpus: all
                devices:
                  - /dev/infiniband
                  - /dev/a:/dev/b:rwm
                  - {source: /dev/c, target: /dev/d, permissions: r}
                  - nvidia.com/gpu=all
                tmpfs: /run
                volumes:
                  - /anonymous
                  - name:/named
                  - ~/.cache/:/cache:ro
                  - ../x:/x/./y/
                  - {type: volume, source: vol, target: /vol, read_only: true}
                  - {type: tmpfs, target: /tmp}
            volumes: {name: {}, vol: {}}
            """
        ),
        {
            "a": {
                "memlock": 8388608,
                "shm_size": int(10.24 * (1 << 30)),
                "ipc": "host",
                "network_mode": "host",
                "privileged": True,
                "cap_add": ("IPC_LOCK",),
                "user": "1000:1000",
                "gpus": True,
                "devices": ("/dev/infiniband", "/dev/b", "/dev/d"),
                "mounts": (
                    ("", "/anonymous", False),
                    ("name", "/named", False),
                    ("/home/u/.cache", "/cache", True),
                    ("/x", "/x/y", False),
                    ("vol", "/vol", True),
                    ("tmpfs", "/tmp", False),
                    ("tmpfs", "/run", False),
                ),
            }
        },
        environ={"HOME": "/home/u"},
    ),
    *(
        Case(
            f"settings: shm_size {written}",
            "docker/go-units size_test.go TestRAMInBytes",
            _one(f"services: {{a: {{image: foo, shm_size: {written}}}}}\n"),
            {"a": {"shm_size": size}},
        )
        for written, size in {
            "64gb": 64 << 30,
            "64GB": 64 << 30,
            "64G": 64 << 30,
            "64GiB": 64 << 30,
            "'64 gb'": 64 << 30,
            "1.5g": 3 << 29,
            "67108864": 64 << 20,
            "'67108864'": 64 << 20,
            "32k": 32 << 10,
            "32b": 32,
        }.items()
    ),
    *(
        Case(
            f"settings: shm_size {written} is no size",
            "docker/go-units size_test.go TestRAMInBytes",
            _one(f"services:\n  a:\n    image: foo\n    shm_size: {written}\n"),
            Refused("compose.yaml:4", "is no size"),
        )
        for written in ("64 xb", "gb", "64 gbb", "1.2.3g", "hello")
    ),
    *(
        Case(
            f"settings: gpus by {name}",
            "05-services.md gpus; deploy.md devices",
            _one(f"services:\n  a:\n    image: foo\n    {text}\n"),
            {"a": {"gpus": True}},
        )
        for name, text in {
            "list": "gpus: [{driver: nvidia, count: 1}]",
            "reservation": "deploy: {resources: {reservations: {devices: [{driver: nvidia, count: all, capabilities: [gpu]}]}}}",
            "runtime": "runtime: nvidia",
        }.items()
    ),
    Case(
        "settings: no GPU",
        "05-services.md gpus",
        _one("services: {a: {image: foo}}\n"),
        {"a": {"gpus": None, "memlock": None, "shm_size": None, "ipc": None, "devices": None, "mounts": None}},
    ),
    Case(
        "settings: a volume of one letter is a Windows drive",
        "format/volume.go isWindowsDrive",
        _one("services: {a: {image: foo, volumes: ['a:/a', 'c:/x:/y:ro']}}\n"),
        {"a": {"mounts": (("", "a:/a", False), ("c:/x", "/y", True))}},
    ),
    Case(
        "settings: a volume with an empty part",
        "format/volume.go `empty section between colons`",
        _one("services:\n  a:\n    image: foo\n    volumes:\n      - ${MODELS}:/models\n"),
        Refused("compose.yaml:5", "MODELS"),
    ),
    Case(
        "settings: extra_hosts as a list, with either sign",
        "types/hostList.go NewHostsList",
        _one("services: {a: {image: foo, extra_hosts: ['s=10.0.0.1', 's:10.0.0.2', 'v6=[fd00::9]', 'w:fd00::8']}}\n"),
        {"a": {"extra_hosts": {"s": ("10.0.0.1", "10.0.0.2"), "v6": ("fd00::9",), "w": ("fd00::8",)}}},
    ),
    Case(
        "settings: extra_hosts as a mapping",
        "types/hostList.go DecodeMapstructure",
        _one("services: {a: {image: foo, hostname: b, extra_hosts: {s: 10.0.0.1, t: [10.0.0.2, 10.0.0.3]}}}\n"),
        {"a": {"extra_hosts": {"s": ("10.0.0.1",), "t": ("10.0.0.2", "10.0.0.3")}, "hostname": "b"}},
    ),
    Case(
        "settings: extra_hosts of two files",
        "override/merge.go mergeExtraHosts",
        _two(
            "services: {a: {image: foo, extra_hosts: ['s=10.0.0.1']}, b: {image: foo, extra_hosts: {s: 10.0.0.1}}}\n",
            "services: {a: {extra_hosts: ['t=10.0.0.2']}, b: {extra_hosts: {t: 10.0.0.2}}}\n",
        ),
        {name: {"extra_hosts": {"s": ("10.0.0.1",), "t": ("10.0.0.2",)}} for name in ("a", "b")},
        use=BOTH,
    ),
    Case(
        "settings: an extra host without an address",
        "types/hostList.go ErrHostsFormat",
        _one("services:\n  a:\n    image: foo\n    extra_hosts:\n      - spark-2\n"),
        Refused("compose.yaml:5", "spark-2"),
    ),
]

CASES = [*ENVIRONMENT, *ENV_FILES, *INTERPOLATION, *YAML, *MERGE, *PROJECT, *SETTINGS]
