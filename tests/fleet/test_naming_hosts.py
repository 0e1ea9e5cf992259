"""How hosts are named on the command line: before the verb and after it, in files; and where they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.cli import main
from clawtop.cli.fleet import host_specs
from clawtop.commands import verbs
from clawtop.errors import UsageError


def named(*words: str) -> dict[str, tuple[str, ...]]:
    """The hosts, and how they are reached."""
    return {spec.name: spec.transport for spec in host_specs(main._parse(words))}


@pytest.mark.parametrize(
    "words",
    [
        ("--host", "a", "--host", "b"),
        ("fleet", "status", "--host", "a", "--host", "b"),
        ("--host", "a", "fleet", "status", "--host", "b"),
        ("--host", "a", "--host", "b", "fleet", "status"),
    ],
)
def test_hosts_may_be_named_before_the_verb_and_after_it(words: tuple[str, ...]) -> None:
    assert named(*words) == {"a": (), "b": ()}


def test_a_file_adds_hosts_with_transports_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("# ours\na\n\nb kubectl exec -i {host} --  # a pod\n")
    asked = ("--hosts", str(tmp_path / "hosts"), "--transport", "docker exec -i {host}", "--host", "c")
    docker = ("docker", "exec", "-i")
    expected = {"c": (*docker, "c"), "a": (*docker, "a"), "b": ("kubectl", "exec", "-i", "b", "--")}
    assert named(*asked) == named("fleet", *asked) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a\n# b\n-oProxyCommand=x\n", r"line 3 of .*hosts: not a host's name: -oProxyCommand=x"),
        ("a 'docker exec\n", r"line 1 of .*hosts: not a host: a 'docker exec"),
        ("# none\n\n", r"the hosts file .*hosts names no host"),
    ],
)
def test_what_is_wrong_in_a_hosts_file_is_said_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(UsageError, match=complaint):
        named("--hosts", str(tmp_path / "hosts"), "fleet")


@pytest.mark.parametrize("option", [("--host", "a"), ("--hosts", "/nowhere"), ("--transport", "docker exec -i {host}")])
@pytest.mark.parametrize("verb", [item.verb for item in verbs() if item.verb != "fleet"])
def test_no_verb_of_this_machine_is_taken_for_one_of_the_hosts_named_before_it(
    verb: str, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = {"clear": ["p:one"], "explain": ["p:one"], "config": ["show"]}.get(verb, [])
    parser = main.make_parser(set())
    args, _unknown = parser.parse_known_args([*option, verb, *words])
    with pytest.raises(SystemExit) as stop:
        main._refuse_other_hosts(parser, args)
    assert stop.value.code == 64
    assert f"{option[0]} is for the dashboard and for clawtop fleet" in capsys.readouterr().err


def test_a_clear_is_refused_before_anything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--host", "a", "clear", "p:one", "--yes"]) == 64
    assert "clawtop clear acts on the local machine only" in capsys.readouterr().err
