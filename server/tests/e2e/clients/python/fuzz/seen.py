"""What the server showed, of which later cases are made."""

import re
from collections import defaultdict


class Seen:
    """What the server showed: ids by type, other values by the name of their field, and what belongs to an id."""

    def __init__(self):
        self.ids, self.values, self.records = defaultdict(list), defaultdict(list), defaultdict(dict)
        self.kept_out = set()

    def note(self, kind, name, value):
        is_node = name == "id" and any(one.name == "Node" for one in kind.interfaces)
        known = self.ids[kind.name] if is_node else self.values[name]
        if type(value) in (str, int) and value not in self.kept_out and value not in known:
            known.append(value)

    def note_object(self, value):
        """What is directly in an object that has an id, and in the things without one inside it, belongs to that id."""
        if isinstance(value.get("id"), str):
            record = self.records[value["id"]]
            for name, one in value.items():
                inside = one.items() if isinstance(one, dict) and "id" not in one else [(name, one)]
                record.update({name: one for name, one in inside if isinstance(one, (str, int))})

    def id_for(self, name, parent, random):
        """An id for an argument or a field of an input: mostly of the type of which its name, or its place, speaks."""
        stem = parent if name in ("id", "ids") else re.sub(r"(Ids?|s)$", "", name)
        if stem in ("owner", "holder", "sales", "actor", "actsAs", "escalateTo"):
            stem = "user"
        stem = stem.replace("duplicateOf", "lead").lower()
        kinds = [kind for kind in sorted(self.ids) if kind.lower().endswith(stem) or stem.endswith(kind.lower())]
        kinds = kinds or [kind for kind in sorted(self.ids) if stem.startswith(kind.lower())]
        if not kinds or random.random() < 0.05:
            kinds = sorted(self.ids)
        known = self.ids[random.choice(kinds)] if kinds else []
        return random.choice(known[-8:] if random.random() < 0.6 else known) if known else None
