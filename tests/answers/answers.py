"""The programs of this folder whose leaking line is known, and how each is built.

Decides: the right line of a program is the one with the words "the leak" in it, in whichever file of the program that is. What
needs no server runs by itself; table.py has the rest. C, C++ and Rust are compiled with debug information and optimised, as
programs in use are; an absent compiler is said by name.
"""

import pathlib
import shutil
import subprocess

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
MARK = "the leak"
COMPILERS = {".c": ["gcc", "-g", "-O2"], ".cpp": ["g++", "-g", "-O2"], ".rs": ["rustc", "-g", "-O"]}
ALONE = {  # program: the file with its leak
    "global_dict.py": "global_dict.py",
    "class_attribute.py": "class_attribute.py",
    "closure.py": "closure.py",
    "lru_cache.py": "lru_cache.py",
    "package_list.py": "inventory/audit.py",
    "thread_local.py": "thread_local.py",
    "map.cpp": "map.cpp",
    "vec.rs": "vec.rs",
    "list.c": "list.c",
}


def right_line(file):
    """(path, number) of the line that leaks."""
    path = PROGRAMS / file
    (number,) = [i for i, line in enumerate(path.read_text().splitlines(), 1) if MARK in line]
    return path, number


def missing(program):
    """The compiler that a program needs and this machine has not, or None."""
    compiler = COMPILERS.get(pathlib.Path(program).suffix)
    return compiler[0] if compiler and shutil.which(compiler[0]) is None else None


def command(program, python, folder):
    """What to run; a compiled program is built in folder."""
    source = PROGRAMS / program
    compiler = COMPILERS.get(source.suffix)
    if compiler is None:
        return [str(python), str(source)]
    built = pathlib.Path(folder) / source.stem
    subprocess.run([*compiler, "-o", str(built), str(source)], check=True)
    return [str(built)]


def first_row(shown):
    """The first row of a report as text: two lines behind the heading's empty one."""
    return shown.split("\n\n", 1)[1].splitlines()[1]
