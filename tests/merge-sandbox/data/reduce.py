"""Reduces Merge's published schemas to data/schemas.json, the sandbox's only description of Common Models.

Origin: Merge's published OpenAPI 3.1, one file per category (docs.merge.dev), and, for relations between
models and for the four lists which that OpenAPI lacks, the type definitions of the PyPI package
MergePythonClient 4.2.1. Run once, with that package installed, when either changes:

    python reduce.py <folder with merge-<category>-api-openapi.yaml> > schemas.json

Output: {model key: {"name": display name, "fields": [[field, kind], ...]}}. A kind is a word (string, uuid, email,
uri, datetime, date, integer, number, boolean, json) or {"enum": [...]}, {"ref": model key}, {"list": kind},
{"object": [[field, kind], ...]}.
"""

import csv
import importlib
import json
import pathlib
import re
import sys
import typing

import yaml

HERE = pathlib.Path(__file__).parent
FILES = {
    "hris": "hris", "ats": "ats", "crm": "crm", "accounting": "accounting", "ticketing": "ticketing",
    "filestorage": "file-storage", "knowledgebase": "knowledge-base",
}
# The CSV's display names differ from the class names of SDK and OpenAPI in places; these lists are SDK only.
SDK_ONLY = {
    "hris/v1/teams": "Team", "accounting/v1/general-ledger-transactions": "GeneralLedgerTransaction",
    "ticketing/v1/projects": "Project", "ticketing/v1/projects/{parent_id}/users": "User",
}
# Neither the OpenAPI (plain uuid) nor the SDK (plain string) types these.
KNOWN_TARGETS = {
    ("ticketing", "Collection", "parent_collection"): "Collection",
    ("crm", "Association", "source_object"): "CustomObject",
    ("crm", "Association", "target_object"): "CustomObject",
    ("crm", "CustomObject", "object_class"): "CustomObjectClass",
    ("ticketing", "Attachment", "uploaded_by"): "User",
    ("accounting", "TrackingCategory", "parent_category"): "TrackingCategory",
}


def model_key(row):
    """Merge's model_id, with `@` and the static segments before the last for nested lists."""
    segments = row["list_path"].split("/v1/")[1].split("/")
    static = [s for s in segments if not s.startswith("{")]
    return row["model_id"] + ("@" + ".".join(static[:-1]) if len(segments) > 1 else "")


class Category:
    def __init__(self, name, document, rows):
        self.name, self.document = name, document
        self.keys = {}
        for row in rows:
            schema = self.list_schema(row)
            # A nested list never takes the place of a top-level list of the same class.
            if schema not in self.keys or "@" in self.keys[schema]:
                self.keys[schema] = model_key(row)
        self.types = importlib.import_module(f"merge.resources.{name}.types")

    def list_schema(self, row):
        if row["list_path"] in SDK_ONLY:
            return SDK_ONLY[row["list_path"]]
        answer = self.document["paths"]["/" + row["list_path"]]["get"]["responses"]["200"]
        reference = answer["content"]["application/json"]["schema"]["$ref"]
        return re.fullmatch(r".*/Paginated(\w+)List", reference).group(1)

    def annotation(self, schema, field):
        model = getattr(self.types, schema, None)
        info = getattr(model, "model_fields", {}).get(field)
        return info.annotation if info else None

    def target(self, schema, field):
        """The model key a relation points at, read from the SDK's `Union[str, Model]`."""
        known = KNOWN_TARGETS.get((self.name, schema, field))
        if known:
            return self.keys[known]
        for name in class_names(self.annotation(schema, field)):
            if name in self.keys:
                return self.keys[name]
        return self.target_by_name(field)

    def target_by_name(self, field):
        """A bare uuid field of neither type: `parent_group` means Group, `applied_to_users` means User."""
        words = re.sub(r"ies$", "y", field).removesuffix("s").split("_")
        names = ["".join(w.capitalize() for w in words[start:]) for start in range(len(words))]
        names += ["CompanyInfo"] if names[-1] == "Company" else []
        names += ["Contact"] if names[-1] == "Customer" else []
        return next((self.keys[n] for n in names if n in self.keys), None)

    def fields(self, schema, depth=0):
        body = self.document["components"]["schemas"].get(schema)
        if body is None:
            return [[f, k] for f in getattr(self.types, schema).model_fields if (k := self.sdk_kind(schema, f))]
        return [[f, k] for f, s in body.get("properties", {}).items() if (k := self.kind(schema, f, s, depth)) is not None]

    def sdk_kind(self, schema, field):
        """Kind of a field that only the SDK describes."""
        text = str(self.annotation(schema, field))
        target = self.target(schema, field) if "Union" in text or "_" not in field or "parent" in field else None
        if field == "id":
            return "uuid"
        if target:
            return {"list": {"ref": target}} if "List" in text else {"ref": target}
        if field == "remote_data":
            return {"list": "json"}
        if field == "underlying_transaction_type":
            return {"enum": ["INVOICE", "EXPENSE", "TRANSACTION", "JOURNAL_ENTRY", "PAYMENT", "VENDOR_CREDIT", "CREDIT_NOTE"]}
        if field == "general_ledger_transaction_lines":
            return {"list": {"object": self.fields("GeneralLedgerTransactionLine", 1)}}
        for word, kind in (("datetime", "datetime"), ("bool", "boolean"), ("float", "number"), ("int]", "integer"), ("Dict", "json"), ("str", "string")):
            if word in text:
                return kind
        return "string"

    def kind(self, schema, field, spec, depth):
        for word in ("oneOf", "anyOf", "allOf"):
            if word in spec:
                branches = [b for b in spec[word] if b.get("type") != "null"]
                return self.kind(schema, field, branches[0], depth)
        if "$ref" in spec:
            name = spec["$ref"].rsplit("/", 1)[1]
            found = self.document["components"]["schemas"][name]
            if "enum" in found:
                return {"enum": found["enum"]}
            if field in ("field_mappings", "remote_data") or "properties" not in found:
                inner = {k: v for k, v in found.items() if k in ("type", "oneOf", "anyOf", "$ref", "items", "format")}
                return "json" if field == "field_mappings" or found.get("type") == "object" else self.kind(schema, field, inner, depth)
            if depth >= 2:
                return "json"
            return {"object": self.fields(name, depth + 1)}
        if "enum" in spec:
            return {"enum": spec["enum"]}
        kinds = spec.get("type", "string")
        kind = kinds if isinstance(kinds, str) else next(k for k in kinds if k != "null")
        if kind == "array":
            if field == "remote_data":
                return {"list": "json"}
            return {"list": self.kind(schema, field, spec.get("items", {}), depth)}
        if kind == "object":
            return "json"
        if kind == "string":
            target = self.target(schema, field) if spec.get("format") == "uuid" and field != "id" else None
            if target:
                return {"ref": target}
            return {"uuid": "uuid", "email": "email", "uri": "uri", "date-time": "datetime", "date": "date"}.get(spec.get("format"), "string")
        return kind


def class_names(annotation):
    if isinstance(annotation, typing.ForwardRef):
        yield annotation.__forward_arg__
    if isinstance(annotation, type):
        yield annotation.__name__
    for inner in typing.get_args(annotation):
        yield from class_names(inner)


def main():
    rows = list(csv.DictReader(open(HERE / "models.csv")))
    out = {}
    for name, file in FILES.items():
        path = pathlib.Path(sys.argv[1]) / f"merge-{file}-api-openapi.yaml"
        document = yaml.load(open(path), Loader=yaml.CSafeLoader)
        mine = [r for r in rows if r["category"] == name]
        category = Category(name, document, mine)
        for row in mine:
            out[model_key(row)] = {"name": row["model_name"], "fields": category.fields(category.list_schema(row))}
    lines = [f"{json.dumps(k)}:{json.dumps(v, separators=(',', ':'))}" for k, v in out.items()]
    print("{" + ",\n".join(lines) + "}")


main()
