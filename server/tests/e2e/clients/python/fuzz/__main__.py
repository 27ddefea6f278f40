"""Fuzzes the GraphQL server: schemathesis makes cases for every query and mutation, and every answer is held against
the schema and against what docs/reference/graphql.md promises. Prints one line of JSON in the end.

    python fuzz URL TOKEN[,TOKEN...] [--cases 2000] [--others 300] [--seed 1]

Left alone, nearly every case is refused at the door: ids that do not exist, pages of two thousand million rows. So some
rows are made first, what the server shows is kept, and a case is enlivened before it is sent: with ids, keys and
revisions that exist, pages of a sane size, aliases, fragments, directives and variables. Some cases stay as they were
made, and one in eight breaks the schema and must be refused. The same seed makes the same cases, but for the ids and
times that the server made up.

The first token is an administrator's, who may do everything: `--cases` cases are sent with it, and `--others` cases
besides with the tokens after it. It changes and removes what it finds: never run it on a database that anybody needs.
"""

import argparse
import json
from tempfile import TemporaryDirectory

import hypothesis
from run import Fuzz

arguments = argparse.ArgumentParser(prog="fuzz")
arguments.add_argument("url")
arguments.add_argument("tokens", type=lambda text: text.split(","))
arguments.add_argument("--cases", type=int, default=2_000)
arguments.add_argument("--others", type=int, default=0)
arguments.add_argument("--seed", default="1")
given = arguments.parse_args()
if given.others and len(given.tokens) < 2:
    arguments.error("--others needs more tokens than the administrator's")
with TemporaryDirectory() as home:
    hypothesis.configuration.set_hypothesis_home_dir(home)
    print(json.dumps(Fuzz(**vars(given)).run()))
