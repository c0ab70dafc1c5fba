"""Writes the inputs of the native programs: a C file for cc1, an SQL script for the sqlite3 shell.

Usage: generate.py c|sql OUT [SIZE]. The output is a function of SIZE alone.
"""

import sys

C_FUNCTION = """
struct s{i} {{ int a[{n}]; long b; const char *name; struct s{i} *next; }};
static int helper{i}(struct s{i} *s, int x)
{{
    int sum = 0;
    for (int k = 0; k < {n}; k++) {{
        if ((s->a[k] ^ x) & {m})
            sum += s->a[k] * {i} + (x >> (k & 3));
        else
            sum -= (int)s->b + k;
    }}
    switch (x % 5) {{
    case 0: return sum + {i};
    case 1: return sum ^ {m};
    case 2: s->b += sum; break;
    default: return s->next ? helper{i}(s->next, x - 1) : sum;
    }}
    return (int)s->b;
}}
int entry{i}(int x)
{{
    struct s{i} one = {{{{{i}, x}}, x * 3L, "name{i}", 0}}, two = {{{{x}}, {m}, "other{i}", &one}};
    return helper{i}(&two, x) + helper{i}(&one, x + {i});
}}
"""


def write_c(out, functions):
    """`functions` structures with two functions each."""
    for i in range(functions):
        out.write(C_FUNCTION.format(i=i, n=4 + i % 29, m=1 + i * 7 % 255))


def write_sql(out, rows):
    """Two tables of `rows` rows, an index, joins, aggregates, string functions."""
    out.write("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL, d BLOB);\nCREATE TABLE u(a INTEGER, e TEXT);\n")
    out.write("BEGIN;\n")
    for i in range(rows):
        out.write(f"INSERT INTO t VALUES({i},'row {i * 7919 % rows} of many',{i * 0.37},x'{i:08x}{i * 31:08x}');\n")
        out.write(f"INSERT INTO u VALUES({i * 7 % rows},'other {i % 97}');\n")
    out.write("COMMIT;\nCREATE INDEX ub ON u(a);\n")
    out.write("SELECT count(*), sum(length(b || e)) FROM t JOIN u USING(a);\n")
    out.write("SELECT e, group_concat(substr(b,1,5)) FROM t JOIN u USING(a) GROUP BY e ORDER BY 2 LIMIT 5;\n")
    out.write("UPDATE t SET b = upper(b) || a WHERE a % 3 = 0;\n")
    out.write("SELECT max(length(replace(b,'ROW','line'))) FROM t WHERE b LIKE '%9%';\nDELETE FROM t WHERE a % 5 = 1;\n")


def main():
    """Command line."""
    kind, path = sys.argv[1:3]
    size = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with open(path, "w", encoding="ascii") as out:
        if kind == "c":
            write_c(out, size or 600)
        else:
            write_sql(out, size or 20000)


if __name__ == "__main__":
    main()
