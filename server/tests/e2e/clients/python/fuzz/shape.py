"""What a request and an answer must look like."""

import re
from datetime import date

import graphql


class Wrong(Exception):
    """What is wrong with an answer. What is of the same kind is counted together."""

    def __init__(self, detail, kind=None):
        super().__init__(detail)
        self.kind = kind or re.sub(r"'[^']*'|\[.*\]|\"[^\"]*\"", "…", re.sub(r"\.\d+", "", detail))


def field_of(parent, name):
    return graphql.TypeNameMetaFieldDef if name == "__typename" else parent.fields[name]


class Shape:
    """Holds `data` against the operation and the schema, and notes what is in it."""

    def __init__(self, schema, document, variables, seen):
        self.schema, self.variables, self.seen = schema, variables, seen
        fragments = [one for one in document.definitions if isinstance(one, graphql.FragmentDefinitionNode)]
        self.fragments = {one.name.value: one for one in fragments}
        self.operation = graphql.get_operation_ast(document)
        self.user_errors = []

    def check(self, data):
        root = self.schema.get_root_type(self.operation.operation)
        self.object(root, [self.operation.selection_set], data, "data")

    def runs(self, node):
        given = {
            directive.name.value: graphql.value_from_ast_untyped(directive.arguments[0].value, self.variables)
            for directive in node.directives or []
        }
        return given.get("include", True) and not given.get("skip", False)

    def collect(self, kind, selection_set, found):
        for one in filter(self.runs, selection_set.selections):
            if isinstance(one, graphql.FieldNode):
                found.setdefault((one.alias or one.name).value, []).append(one)
                continue
            inside = self.fragments[one.name.value] if isinstance(one, graphql.FragmentSpreadNode) else one
            on = self.schema.get_type(inside.type_condition.name.value) if inside.type_condition else kind
            if on is kind or graphql.is_abstract_type(on) and self.schema.is_sub_type(on, kind):
                self.collect(kind, inside.selection_set, found)

    def object(self, kind, selection_sets, value, place):
        if not isinstance(value, dict):
            raise Wrong(f"{place} is no object")
        if graphql.is_abstract_type(kind):
            kind = self.schema.get_type(value.get("__typename", ""))
            if kind is None:
                raise Wrong(f"{place} has no known __typename")
        asked = {}
        for one in selection_sets:
            self.collect(kind, one, asked)
        if list(value) != list(asked):
            raise Wrong(f"{place} has the keys {list(value)} and not {list(asked)}")
        plain = {}
        for key, places in asked.items():
            name = places[0].name.value
            plain[name] = value[key]
            inside = [one.selection_set for one in places if one.selection_set]
            self.value(field_of(kind, name).type, inside, value[key], f"{place}.{key}")
            if not inside:
                self.seen.note(kind, name, value[key])
        self.seen.note_object(plain)
        if "userErrors" in plain:
            self.payload(kind, plain, place)

    def value(self, kind, inside, value, place):
        if graphql.is_non_null_type(kind):
            if value is None:
                raise Wrong(f"{place} is null and must not be")
            kind = kind.of_type
        if value is None:
            return
        if graphql.is_list_type(kind):
            if not isinstance(value, list):
                raise Wrong(f"{place} is no list")
            for at, one in enumerate(value):
                self.value(kind.of_type, inside, one, f"{place}.{at}")
        elif graphql.is_composite_type(kind):
            self.object(kind, inside, value, place)
        elif graphql.is_enum_type(kind):
            if not isinstance(value, str) or value not in kind.values:
                raise Wrong(f"{place} is {value!r}, which {kind} does not have")
        elif not is_of(kind.name, value):
            raise Wrong(f"{place} is {value!r} and no {kind}")

    def payload(self, kind, plain, place):
        """Either a change was made, or what the caller can mend is said."""
        self.user_errors += [error.get("code") for error in plain["userErrors"]]
        lists = [name for name in plain if graphql.is_list_type(graphql.get_nullable_type(kind.fields[name].type))]
        if plain["userErrors"] and any(plain[name] is not None for name in plain if name not in lists):
            raise Wrong(f"{place} has userErrors and something that was changed")


# ---- scalars

DAY, CLOCK = r"(\d{4})-(\d\d)-(\d\d)", r"([01]\d|2[0-3]):[0-5]\d"
FORMS = {
    "Date": DAY,
    "DateTime": rf"{DAY}T{CLOCK}:([0-5]\d|60)(\.\d+)?(Z|[+-]{CLOCK})",
    "Decimal": r"(?=.{1,40}\Z)-?\d+(\.\d+)?",
    # Stricter forms are for the fields that take it.
    "EmailAddress": r"(?s)[^@]+@.+",
}


def has_form(kind, value):
    """Whether a value has the form of a scalar of the server's own."""
    found = isinstance(value, str) and re.fullmatch(FORMS[kind], value, re.ASCII)
    if not found or not kind.startswith("Date"):
        return bool(found) and (kind != "EmailAddress" or len(value.encode()) <= 320)
    year, month, day = map(int, found.groups()[:3])
    try:
        # What the year 0 had, the year 400 had too.
        date(year or 400, month, day)
    except ValueError:
        return False
    return kind == "Date" or 1 <= year_in_utc(year, (month, day), value) <= 9998


def year_in_utc(year, of_the_year, value):
    """The year of a moment in UTC, which near New Year is not the one that is written."""
    hours, minutes = int(value[11:13]), int(value[14:16])
    zone = re.search(r"([+-])(\d\d):(\d\d)$", value)
    offset = (int(zone[2]) * 60 + int(zone[3])) * (1 if zone[1] == "+" else -1) if zone else 0
    in_utc = hours * 60 + minutes - offset
    if of_the_year == (1, 1) and in_utc < 0:
        return year - 1
    return year + (of_the_year == (12, 31) and in_utc >= 24 * 60)


def know_scalars(schema):
    """Lets a schema refuse what has not the form of its scalar."""

    def knowing(kind):
        def check(value):
            if not has_form(kind, value):
                raise graphql.GraphQLError(f"{kind} cannot be this.")
            return value

        return check

    for kind in FORMS:
        schema.type_map[kind].coerce_input_value = knowing(kind)


def is_of(kind, value):
    """Whether JSON has a value of a scalar in its right form."""
    if kind == "Int":
        return type(value) is int and -(2**31) <= value < 2**31
    if kind == "Boolean":
        return type(value) is bool
    return kind == "JSON" or (has_form(kind, value) if kind in FORMS else isinstance(value, str))


# ---- requests and answers


def faults(schema, query, variables):
    """Why a request is invalid, as far as a client can know."""
    try:
        document = graphql.parse(query)
    except graphql.GraphQLSyntaxError as error:
        return [error.message]
    found = graphql.validate(schema, document)
    if not found:
        definitions = graphql.get_operation_ast(document).variable_definitions or []
        given = graphql.get_variable_values(schema, definitions, variables)
        found = given if isinstance(given, list) else []
    if not found and (holds_nul(variables) or holds_nul(document.to_dict())):
        return ["a text holds the character U+0000"]
    return [error.message for error in found]


def holds_nul(value):
    if isinstance(value, dict):
        return any(map(holds_nul, [*value, *value.values()]))
    return any(map(holds_nul, value)) if isinstance(value, (list, tuple)) else isinstance(value, str) and "\0" in value


def no_twin(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("an object of the answer has a key twice")
    return found


def errors_of(response):
    try:
        return response.json().get("errors", [])
    except (ValueError, AttributeError):
        return []
