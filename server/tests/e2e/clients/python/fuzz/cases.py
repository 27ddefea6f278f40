"""What a case is, how schemathesis makes the scalars in it, and how it is enlivened."""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import graphql
import schemathesis
from hypothesis import strategies as st
from rows import GOOD, MOMENTS, NUMBERS, TEXTS, VALUES, WIDE
from schemathesis.graphql import nodes
from shape import field_of

# ---- documents


class Name(str):
    """An enum value, which a literal shows without quotes."""


@dataclass
class Part:
    """A field or, without a name, a fragment: spread where it has an alias, in line where not."""

    name: str = ""
    alias: str = ""
    on: str = ""
    parent: object = None
    arguments: dict = field(default_factory=dict)
    directive: str = ""
    inside: list = field(default_factory=list)

    @property
    def type(self):
        return graphql.get_named_type(field_of(self.parent, self.name).type)


def value_of(node):
    """The value of a literal."""
    match node:
        case graphql.ObjectValueNode():
            return {one.name.value: value_of(one.value) for one in node.fields}
        case graphql.ListValueNode():
            return [value_of(one) for one in node.values]
        case graphql.EnumValueNode():
            return Name(node.value)
        case graphql.NullValueNode():
            return None
        case graphql.IntValueNode():
            return int(node.value)
        case graphql.FloatValueNode():
            return float(node.value)
        case _:
            return node.value


def literal(value):
    if isinstance(value, Name):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_sayable(value):
    """Whether a literal can say it: its keys must be names."""
    if isinstance(value, dict):
        return all(re.fullmatch(r"[_A-Za-z]\w*", name, re.ASCII) and is_sayable(one) for name, one in value.items())
    return not isinstance(value, list) or all(map(is_sayable, value))


def scalars():
    """What schemathesis shall make of the scalars that GraphQL does not have."""
    moments = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)).map(datetime.isoformat)
    zones = st.sampled_from(["Z", "+00:00", "-23:59", "+14:00", ""])
    digits = st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str)
    plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    names = st.from_regex(r"\A[a-z_][a-zA-Z0-9_]{0,9}\Z")
    values = st.recursive(
        plain, lambda one: st.lists(one, max_size=3) | st.dictionaries(names, one, max_size=4), max_leaves=8
    )
    texts = {
        "DateTime": st.tuples(moments, zones).map("".join) | st.sampled_from(MOMENTS),
        "Date": st.dates().map(date.isoformat) | st.sampled_from(["2026-02-29", "0000-01-01", "+10000-01-01", ""]),
        "EmailAddress": st.emails() | st.sampled_from(TEXTS),
        "Decimal": digits | st.sampled_from(["0", "-0", "0.1", "1" * 40, "1" * 41, "1.", ".1", "1e3", "+1", ""]),
    }
    for name, strategy in texts.items():
        schemathesis.graphql.scalar(name, strategy.map(nodes.String))
    schemathesis.graphql.scalar("JSON", values.map(lambda value: graphql.parse_value(literal(value))))

# ---- cases


class Enliven:
    """Makes of a generated document one that gets further."""

    def __init__(self, schema, seen, random):
        self.schema, self.seen, self.random = schema, seen, random
        self.variables, self.definitions, self.fragments = {}, [], {}
        self.names, self.record = 0, {}

    def chance(self, share):
        return self.random.random() < share

    def fresh(self, letter):
        self.names += 1
        return f"{letter}{self.names}"

    def document(self, document):
        operation = document.definitions[0]
        root = self.schema.get_root_type(operation.operation)
        selection = self.read(operation.selection_set, root)
        for one in selection:
            self.part(one, 0)
        if self.chance(0.1):
            first = selection[0]
            selection.append(
                Part(first.name, "again", parent=root, arguments=first.arguments, inside=first.inside)
            )
        body = self.show(selection)
        head = operation.operation.value
        if self.definitions:
            head += f" Fuzz({', '.join(self.definitions)})"
        if self.variables and self.chance(0.12):
            self.spoil(self.variables)
        return " ".join([head, body, *self.fragments.values()]), self.variables

    def read(self, selection_set, parent):
        found = []
        for one in selection_set.selections if selection_set else []:
            if isinstance(one, graphql.InlineFragmentNode):
                on = one.type_condition.name.value
                found.append(Part(on=on, parent=parent, inside=self.read(one.selection_set, self.schema.get_type(on))))
                continue
            part = Part(one.name.value, one.alias.value if one.alias else "", parent=parent)
            part.arguments = {argument.name.value: value_of(argument.value) for argument in one.arguments or []}
            part.inside = self.read(one.selection_set, part.type)
            found.append(part)
        return found

    def show(self, selection):
        shown = []
        for one in selection:
            inside = self.show(one.inside) if one.inside else ""
            if one.name:
                given = ", ".join(f"{name}: {self.argument(one, name, value)}" for name, value in one.arguments.items())
                head = (f"{one.alias}: " if one.alias else "") + one.name + (f"({given})" if given else "")
            elif one.alias:
                self.fragments[one.alias] = f"fragment {one.alias} on {one.on} {inside}"
                head, inside = f"...{one.alias}", ""
            else:
                head = f"... on {one.on}" if one.on else "..."
            shown.append(" ".join(filter(None, [head, one.directive, inside])))
        return "{ " + " ".join(shown) + " }"

    def argument(self, part, name, value):
        """A literal, or a variable with that value."""
        if is_sayable(value) and self.chance(0.5):
            return literal(value)
        variable = f"v{len(self.variables)}"
        self.variables[variable] = value
        self.definitions.append(f"${variable}: {part.parent.fields[part.name].args[name].type}")
        return f"${variable}"

    def spoil(self, value):
        """Puts something of another type somewhere into the variables, takes something out, or adds something."""
        places = list(value) if isinstance(value, dict) else range(len(value))
        place = self.random.choice(places) if places else None
        if place is not None and isinstance(value[place], (dict, list)) and value[place] and self.chance(0.8):
            self.spoil(value[place])
        elif place is not None and self.chance(0.7):
            value[place] = self.random.choice([None, True, 0, 1.5, 2**31, "x", "1", [], {}, [[]], ["x"]])
        elif isinstance(value, dict):
            value.pop(place, None) if self.chance(0.5) else value.update(fuzz=1)

    # What is selected.

    def part(self, part, depth):
        if part.name and part.name != "__typename":
            self.arguments(part, depth)
        for one in part.inside:
            self.part(one, depth + 1)
        if part.name and graphql.is_composite_type(part.type):
            kind = part.type
            if graphql.is_abstract_type(kind):
                part.inside.append(Part("__typename", parent=kind))
            elif "id" in kind.fields and all(one.name != "id" for one in part.inside) and self.chance(0.6):
                part.inside.insert(0, Part("id", parent=kind))
            if kind.name.endswith("Payload"):
                errors = Part("userErrors", parent=kind)
                errors.inside = [Part(name, parent=errors.type) for name in ("field", "message", "code")]
                part.inside = [one for one in part.inside if one.name != "userErrors"] + [errors]
        if part.inside and self.chance(0.15):
            self.wrap(part)
        if part.name and depth and not part.alias and self.chance(0.1):
            part.alias = self.fresh("a")
        if depth and self.chance(0.05):
            word = self.random.choice(["include", "skip"])
            part.directive = f"@{word}(if: {self.random.choice(['true', 'false'])})"

    def wrap(self, part):
        """Puts some of what is selected into a fragment."""
        at = self.random.randrange(len(part.inside))
        moved = part.inside[at:]
        on = part.type.name if part.name else part.on
        if not any(one.on for one in moved):
            alias = self.fresh("F") if self.chance(0.5) else ""
            on = on if alias or self.chance(0.5) else ""
            part.inside[at:] = [Part(alias=alias, on=on, inside=moved)]

    # What is given.

    def arguments(self, part, depth):
        known, given = part.parent.fields[part.name].args, part.arguments
        page = {"first", "last", "after", "before"} & set(known)
        if page and self.chance(0.95):
            for name in page:
                given.pop(name, None)
            sizes = [1, 2, 3, 5] if depth > 1 and self.chance(0.97) else [1, 2, 5, 10, 50, 100]
            ends, places = sorted(page & {"first", "last"}), sorted(page & {"after", "before"})
            if ends and self.chance(0.95):
                given[self.random.choice(ends)] = self.random.choice(sizes)
            cursors = self.seen.values["cursor"] + self.seen.values["endCursor"]
            if cursors and places and self.chance(0.2):
                given[self.random.choice(places)] = self.random.choice(cursors[-50:])
        for name in [name for name in given if name not in page]:
            if given[name] is None and not graphql.is_non_null_type(known[name].type) and self.chance(0.5):
                del given[name]
                continue
            self.record = {}
            given[name] = self.value(given[name], known[name].type, name, part.type.name)

    def value(self, value, kind, name, parent):
        """A value in place of what was generated; also for a null, half of the time."""
        if graphql.is_non_null_type(kind):
            made = None
            while made is None:
                made = self.value(value, kind.of_type, name, parent)
            return made
        if value is None and self.chance(0.5):
            return None
        if graphql.is_list_type(kind):
            value = value if isinstance(value, list) else []
            if not value and self.chance(0.5):
                value = [None] * self.random.choice([1, 1, 2, 3])
            return [self.value(one, kind.of_type, name, parent) for one in value]
        if graphql.is_input_object_type(kind):
            return self.input(dict(value) if isinstance(value, dict) else {}, kind)
        if graphql.is_enum_type(kind):
            return value if value is not None and self.chance(0.7) else Name(self.random.choice(sorted(kind.values)))
        return self.scalar(value, kind.name, name, parent)

    def input(self, value, kind):
        # Ids first, since what belongs to an id goes with it.
        fields = sorted(kind.fields.items(), key=lambda one: graphql.get_named_type(one[1].type).name != "ID")
        for name, definition in fields:
            if not graphql.is_required_input_field(definition):
                if name not in value and not self.chance(0.15):
                    continue
                if value.get(name) is None and self.chance(0.7):
                    value.pop(name, None)
                    continue
            value[name] = self.value(value.get(name), definition.type, name, kind.name)
        return {name: value[name] for name in kind.fields if name in value}

    def scalar(self, value, kind, name, parent):
        random = self.random
        if kind == "ID":
            made = self.seen.id_for(name, parent, random) if self.chance(0.95) else None
            self.record.update(self.seen.records.get(made, {}))
            return made or value or "x"
        if kind == "Boolean":
            return value if isinstance(value, bool) else self.chance(0.5)
        if name == "idempotencyKey" and self.chance(0.8):
            return f"key-{random.randrange(3 if self.chance(0.2) else 10**9)}"
        if kind == "String" and name in GOOD and self.chance(0.4):
            return random.choice(GOOD[name])
        if kind == "String" and self.chance(0.03):
            return WIDE
        if kind in ("String", "Int"):
            wanted = str if kind == "String" else int
            if isinstance(self.record.get(name), wanted) and self.chance(0.8):
                return self.record[name]
            known = [one for one in self.seen.values.get(name, []) if isinstance(one, wanted)]
            if known and self.chance(0.4):
                return random.choice(known)
            if value is None or self.chance(0.6):
                return random.choice(TEXTS if kind == "String" else NUMBERS)
            return value
        if kind == "DateTime" and self.chance(0.1):
            return random.choice(MOMENTS)
        if kind in ("Date", "DateTime") and (value is None or self.chance(0.7)):
            moment = datetime.now(UTC) + timedelta(hours=random.choice([-9000, -24, -1, 1, 24, 72, 720, 9000]))
            return moment.date().isoformat() if kind == "Date" else moment.isoformat().replace("+00:00", "Z")
        if kind == "JSON" and (value is None or self.chance(0.5)):
            key = random.choice(["email", "source", "shoe_size", "a", "name", "contact", "lead"])
            return {key: random.choice(VALUES)}
        return {"Decimal": "1.5", "EmailAddress": "a@b.example", "Float": 0.5}[kind] if value is None else value
