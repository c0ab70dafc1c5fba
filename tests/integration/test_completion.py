"""Completion and manual pages: each shell's own machinery completes with what memtap prints; man's own checker reads the pages."""

import shutil
import subprocess

import pytest
from conftest import MEMTAP, memtap, run

COMMANDS = [line.split()[0] for line in memtap("help").stdout.decode().split("commands:\n")[1].split("\n\n")[0].splitlines()]


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    for shell in ("bash", "zsh", "fish"):
        (folder / shell).write_bytes(memtap("completion", shell).stdout)
    return folder


def in_bash(scripts, *words):
    """What bash offers for the last of the words."""
    program = f'source {scripts}/bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _memtap; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = run(["bash", "-u", "-c", program, "bash", "memtap", *words])
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().split()


@needs("bash")
def test_bash_completes_commands_options_and_values(scripts, tmp_path):
    assert set(COMMANDS) | {"help"} <= set(in_bash(scripts, ""))
    assert in_bash(scripts, "lea") == ["leaks"]
    assert in_bash(scripts, "table", "--for") == ["--format"]
    assert in_bash(scripts, "table", "-f", "") == ["table", "json", "csv", "ndjson"]
    assert in_bash(scripts, "run", "--no-p") == ["--no-python-allocators", "--no-pack"]
    assert in_bash(scripts, "table", "--format", "json", "--lea") == ["--leaks"]
    (tmp_path / "app.mtap").touch()
    assert in_bash(scripts, "table", f"{tmp_path}/ap") == [f"{tmp_path}/app.mtap"]
    assert in_bash(scripts, f"{tmp_path}/app.mtap", "lea") == ["leaks"]


@needs("fish")
def test_fish_completes_commands_options_and_values(scripts):
    def offered(line):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {scripts}/fish; complete -C '{line}'"], check=True,
                              stdout=subprocess.PIPE, universal_newlines=True)
        return {text.split("\t")[0] for text in done.stdout.splitlines()}

    assert set(COMMANDS) <= offered("memtap ")
    assert offered("memtap lea") == {"leaks"}
    assert offered("memtap table --for") == {"--format"}
    assert {"table", "json", "csv", "ndjson"} <= offered("memtap table --format ")
    assert {"--python-allocators", "--no-python-allocators"} <= offered("memtap run --") | offered("memtap run --no-")


@needs("zsh")
def test_zsh_takes_the_script(scripts, tmp_path):
    assert run(["zsh", "-n", scripts / "zsh"]).returncode == 0
    program = f"autoload -U compinit; compinit -u -d {tmp_path}/dump; source {scripts}/zsh; print $_comps[memtap]"
    done = run(["zsh", "-f", "-c", program])
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"_memtap"], b"")


@needs("groff")
@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_pages_are_what_man_expects(command):
    source = memtap("man", *([command] if command else [])).stdout
    done = subprocess.run(["groff", "-K", "utf8", "-man", "-ww", "-Tutf8"], input=source, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=True)
    assert done.stderr == b""
    text = done.stdout.decode()
    name = f"memtap-{command}" if command else "memtap"
    assert f"NAME {name} - " in " ".join(strip_bold(text).split())
    help_text = memtap(command, "-h").stdout.decode() if command else memtap("help").stdout.decode()
    shown = [line.split()[0].rstrip(",") for line in help_text.splitlines() if line.startswith("    --")]
    assert all(option.partition("[")[0] in strip_bold(text) for option in shown)


def strip_bold(text):
    """Without the overstriking and escapes that terminals show bold by."""
    kept = []
    for character in text:
        if character == "\b":
            kept.pop()
        else:
            kept.append(character)
    plain, _, rest = "".join(kept).partition("\x1b[")
    while rest:
        more, _, rest = rest.partition("m")[2].partition("\x1b[")
        plain += more
    return plain


@pytest.mark.parametrize("arguments", [["completion"], ["completion", "tcsh"], ["completion", "bash", "zsh"], ["man", "nothing"],
                                       ["man", "run", "stats"]])
def test_what_cannot_be_meant_is_refused(arguments):
    done = run([MEMTAP, *arguments])
    assert done.returncode == 2 and b"memtap " + arguments[0].encode() in done.stderr and not done.stdout
