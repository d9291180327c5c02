#!/usr/bin/env python3
"""Writes docs/job-schema.json, the JSON Schema of job files, from the tables that the library reads job files by:
runtime/train/job_keys.def and include/tercet/layers.def. With --check it compares instead, and (where jsonschema and yaml are
installed; --check=all requires them) validates the example jobs and refuses wrong ones.

The schema says what an editor can check while one types: keys, kinds, choices, which keys a type has. What depends on more
than one place (shapes, a parameter that no layer uses) is for `tercet summary`."""
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "job-schema.json"
TEXT = r'"((?:[^"\\]|\\.)*)"'
SCALAR = {"type": ["string", "number", "boolean"]}
SWITCH = {"anyOf": [{"type": "boolean"}, {"enum": ["true", "false", "yes", "no", "on", "off"]}]}
PARAMETER = {"type": "string", "pattern": r"^\$", "description": "a parameter of the model"}


def unescape(text):
    return text.replace('\\"', '"').replace("\\\\", "\\")


def strings_of(macro):
    """The joined string literals of a #define in job_spec.h."""
    source = (ROOT / "runtime/train/job_spec.h").read_text()
    body = re.search(r"#define %s\b((?:[^\n]*\\\n)*[^\n]*)" % macro, source).group(1)
    return "".join(re.findall(TEXT, body))


def read_sections():
    """[(section, [key rows])] of job_keys.def."""
    sections, rows = {}, None
    for line in (ROOT / "runtime/train/job_keys.def").read_text().splitlines():
        begins = re.match(r"SECTION\((\w+), ", line)
        if begins:
            rows = sections.setdefault(begins.group(1), [])
        if not line.startswith("KEY("):
            continue
        row = re.match(r"KEY\((\w+), (\w+), (\w+), (?:%s|(\w+)), %s, %s, %s\)$" % ((TEXT,) * 4), line)
        if not row:
            sys.exit("job_keys.def: not understood: " + line)
        section, key, kind, words, macro, only, default, what = row.groups()
        words = strings_of(macro) if macro else unescape(words)
        rows.append({"section": section, "key": key, "kind": kind, "choices": [w for w in words.split(",") if w],
                     "only": [w for w in only.split(",") if w], "default": unescape(default), "what": unescape(what)})
    return sections


def read_layers():
    """[(type, [(key, kind, default)])] of layers.def."""
    layers = []
    for line in (ROOT / "include/tercet/layers.def").read_text().splitlines():
        begins = re.match(r"LAYER\((\w+), (\w+), ", line)
        if begins:
            layers.append((begins.group(2), []))
        if line.startswith("KEY("):
            row = re.match(r"KEY\((\w+), (\w+), (\w+), %s\)" % TEXT, line)
            if not row:
                sys.exit("layers.def: not understood: " + line)
            layers[-1][1].append((row.group(2), row.group(3), unescape(row.group(4))))
    return layers


def any_case(word):
    """Words are told apart without regard to case."""
    return "^" + "".join("[%s%s]" % (c.upper(), c.lower()) if c.isalpha() else re.escape(c) for c in word) + "$"


def choice(words):
    return {"anyOf": [{"enum": words}, {"type": "string", "pattern": "|".join(any_case(w) for w in words)}]}


def optional(schema):
    """null stands for an absent key."""
    return {"anyOf": [schema, {"type": "null"}]}


def node_schemas(sections):
    """What the keys hold that are read by code; a key of that kind without an entry here is an error."""
    number, text = {"type": "number"}, {"type": "string"}
    reference = {name: {"$ref": "#/definitions/" + name} for name in sections}
    moments = {"type": "object", "additionalProperties": False,
               "properties": {key: {"anyOf": [number, {"type": "array", "items": number}]} for key in ("mean", "std")}}
    part = {"$ref": "#/definitions/data_part"}
    return {
        ("job", "data"): reference["data"], ("job", "model"): {"$ref": "#/definitions/model"},
        ("job", "loss"): reference["loss"], ("job", "optimizer"): reference["optimizer"],
        ("job", "schedule"): reference["schedule"], ("job", "train"): reference["train"],
        ("job", "checkpoint"): reference["checkpoint"],
        ("job", "metrics"): {"anyOf": [text, {"type": "array", "items": {"type": ["string", "object"]}}]},
        ("job", "callbacks"): {"type": "array", "items": {"$ref": "#/definitions/callback_item"}},
        ("data", "standardize"): {"anyOf": [SWITCH, moments]}, ("data", "validation"): part, ("data", "test"): part,
        ("data", "class_names"): {"type": "array", "items": SCALAR},
        ("callback", "baseline"): number,
    }


def value_schema(row, nodes):
    kind = row["kind"]
    if kind == "NODE":
        where = (row["section"], row["key"])
        # What is new since this table was written is left to the program.
        return nodes.get(where, {})
    return {
        "TEXT": choice(row["choices"]) if row["choices"] else SCALAR, "PATH": {"type": "string"},
        "COUNT": {"type": "integer", "minimum": 1}, "WHOLE": {"type": "integer", "minimum": 0},
        "POSITIVE": {"type": "number", "exclusiveMinimum": 0}, "REAL": {"type": "number", "minimum": 0},
        "FRACTION": {"type": "number", "minimum": 0, "maximum": 1}, "SWITCH": SWITCH,
    }[kind]


def section_schema(rows, nodes, required=True):
    """The mapping of a section: its keys, and for each type the keys that it lacks."""
    properties = {}
    for row in rows:
        description = "; ".join(t for t in (row["what"], "default: " + row["default"]) if t)
        properties[row["key"]] = dict(optional(value_schema(row, nodes)), description=description)
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    needed = [r["key"] for r in rows if r["default"] == "required" and not r["only"]]
    if required and needed:
        schema["required"] = needed
    types = next((r["choices"] for r in rows if r["key"] == "type"), [])
    rules = []
    for word in types:
        foreign = [r["key"] for r in rows if r["only"] and word not in r["only"]]
        own = [r["key"] for r in rows if r["default"] == "required" and word in r["only"]]
        rule = {"properties": {key: {"type": "null"} for key in foreign}}
        if required and own:
            rule["required"] = own
        if foreign or own:
            rules.append({"if": {"properties": {"type": {"pattern": any_case(word)}}, "required": ["type"]}, "then": rule})
    if rules:
        schema["allOf"] = rules
    return schema


def layer_values():
    """What each kind of a layer's key may be; INT_NEGATIVE: a whole number whose default is negative."""
    positive, whole = {"type": "integer", "minimum": 1}, {"type": "integer"}
    penalty = {"type": "number", "minimum": 0}
    values = {
        "INT": positive, "INT_NEGATIVE": whole, "REAL": {"type": "number"}, "BOOL": SWITCH, "TEXT": SCALAR,
        "PAIR": {"anyOf": [positive, {"type": "array", "items": {"anyOf": [positive, PARAMETER]}, "minItems": 1, "maxItems": 2}]},
        "DIMS": {"anyOf": [whole, {"type": "array", "items": {"anyOf": [whole, PARAMETER]}}]},
        "PENALTY": {"anyOf": [penalty, {"type": "object", "additionalProperties": False, "properties": {
            key: {"anyOf": [penalty, PARAMETER]} for key in ("l1", "l2")}}]},
    }
    return {"layer_" + kind: {"anyOf": [value, PARAMETER, {"type": "null"}]} for kind, value in values.items()}


def layer_value(kind, default):
    kind += "_NEGATIVE" if kind == "INT" and default.startswith("-") else ""
    return {"$ref": "#/definitions/layer_" + kind, "description": "default: " + default}


def model_schema(layers):
    names = {"anyOf": [{"type": "string"}, {"type": "array", "items": SCALAR}]}
    common = {"name": SCALAR, "inputs": names, "trainable": SWITCH}
    items = [{"type": "string", "anyOf": [choice([layer[0] for layer in layers])]}]
    for name, keys in layers:
        properties = dict(common, **{key: layer_value(kind, default) for key, kind, default in keys})
        needed = [key for key, _, default in keys if default == "required"]
        options = {"type": "object", "additionalProperties": False, "properties": properties, "required": needed}
        nested = dict(options) if needed else {"anyOf": [options, {"type": "null"}]}
        items.append({"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1,
                      "patternProperties": {any_case(name): nested}})
        items.append({"type": "object", "required": ["type"] + needed, "properties": {"type": choice([name])},
                      "propertyNames": {"enum": ["type"] + list(properties)}})
    shape = layer_value("DIMS", "from the data")
    described = {"type": "object", "additionalProperties": False,
                 "properties": {"shape": shape, "dtype": {"anyOf": [{"enum": ["f32", "f64", "i32"]}, PARAMETER]}}}
    inputs = {"anyOf": [{"type": "array", "items": SCALAR, "maxItems": 16}, {"type": "object", "maxProperties": 16,
                                                                            "additionalProperties": {"anyOf": [described, shape]}}]}
    return {"type": "object", "required": ["layers"], "properties": {
        "inputs": inputs, "layers": {"type": "array", "minItems": 1, "items": {"anyOf": items}}}}


def callback_schema(rows, section):
    """`- Type`, `- Type: {key: value}` or `- {type: Type, key: value}`, as layers are written."""
    types = next(r["choices"] for r in rows if r["key"] == "type")
    nested = {any_case(word): {"type": ["object", "null"]} for word in types}
    return {"anyOf": [choice(types), section, {"type": "object", "additionalProperties": False, "minProperties": 1,
                                               "maxProperties": 1, "patternProperties": nested}]}


def make_schema():
    sections, layers = read_sections(), read_layers()
    nodes = node_schemas(sections)
    definitions = dict(layer_values(), model=model_schema(layers))
    for name, rows in sections.items():
        if name == "job":
            continue
        mapping = section_schema(rows, nodes)
        type_row = next((r for r in rows if r["key"] == "type"), None)
        # A section's type alone stands for the mapping, where it has one; data needs more keys.
        if type_row and name not in ("data", "callback"):
            mapping = {"anyOf": [choice(type_row["choices"]), mapping]}
        definitions[name] = mapping
    definitions["data_part"] = section_schema(sections["data"], nodes, required=False)
    definitions["callback_item"] = callback_schema(sections["callback"], definitions["callback"])
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Tercet job file",
              "description": "Made by .ci/job_schema.py from the library's tables; docs/job-file.md explains the keys."}
    schema.update(section_schema(sections["job"], nodes))
    schema["definitions"] = definitions
    return schema


WRONG = {
    "an unknown key": lambda job: job.update(sede=3),
    "no loss": lambda job: job.pop("loss"),
    "no data type": lambda job: job["data"].pop("type"),
    "a key of another data type": lambda job: job["data"].update(window=3),
    "an unknown loss": lambda job: job.update(loss="crossentropy"),
    "an unknown layer": lambda job: job["model"]["layers"].append("Dens"),
    "a layer's unknown key": lambda job: job["model"]["layers"].append({"Dense": {"units": 3, "unit": 3}}),
    "a layer without its required key": lambda job: job["model"]["layers"].append({"Dense": {}}),
    "units of 0": lambda job: job["model"]["layers"].append({"Dense": {"units": 0}}),
    "no layers": lambda job: job["model"].update(layers=[]),
    "epochs that are a text": lambda job: job.update(train={"epochs": "many"}),
    "a fraction above 1": lambda job: job["data"].update(validation_split=1.5),
    "nesterov with adam": lambda job: job.update(optimizer={"type": "adam", "nesterov": True}),
    "a negative learning rate": lambda job: job.update(optimizer={"type": "adam", "learning_rate": -1}),
    "an unknown dtype": lambda job: job.update(dtype="f80"),
    "callbacks that are no list": lambda job: job.update(callbacks="EarlyStopping"),
}

RIGHT = {
    "a type in another case": lambda job: job.update(optimizer="Adam"),
    "null for absent": lambda job: job.update(optimizer=None, schedule=None),
    "a layer with a type": lambda job: job["model"]["layers"].append({"type": "Dense", "units": 3}),
    "a parameter": lambda job: job["model"]["layers"].append({"Dense": {"units": "$width"}}),
    "a layer without options": lambda job: job["model"]["layers"].append({"Flatten": None}),
    "a callback by name": lambda job: job.update(callbacks=["TerminateOnNaN", {"EarlyStopping": {"patience": 3}}]),
}


def validate(schema):
    import copy
    import jsonschema
    import yaml
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    examples = sorted((ROOT / "examples").glob("*.yaml"))
    if len(examples) < 4:
        sys.exit("only %d example jobs" % len(examples))
    for path in examples:
        job = yaml.safe_load(path.read_text())
        for problem in validator.iter_errors(job):
            sys.exit("%s: %s: %s" % (path.name, list(problem.absolute_path), problem.message))
    base = yaml.safe_load((ROOT / "examples/glyphs.yaml").read_text())
    for cases, wanted in ((WRONG, False), (RIGHT, True)):
        for what, change in cases.items():
            job = copy.deepcopy(base)
            change(job)
            if validator.is_valid(job) != wanted:
                sys.exit("the schema %s %s" % ("refuses" if wanted else "takes", what))
    print("%d example jobs are valid, %d wrong ones are refused, %d variants taken" % (len(examples), len(WRONG), len(RIGHT)))


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode not in ("", "--check", "--check=all"):
        sys.exit(__doc__)
    schema = make_schema()
    text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    if not mode:
        OUT.write_text(text)
    elif not OUT.exists() or OUT.read_text() != text:
        sys.exit("docs/job-schema.json is not what the tables say; .ci/job_schema.py writes it anew")
    if mode == "--check=all":
        validate(schema)


main()
