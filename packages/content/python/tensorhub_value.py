"""Reads what TensorHub's `encodeSafetensors` wrote: `load_value("value.safetensors")`.

Needs `safetensors` and `numpy`. Typed arrays and tensors come as numpy arrays (element types that numpy lacks, bfloat16 and float8, as their
bits: uint16 and uint8), nested arrays as lists, objects as dicts, Map as dict and Set as set where their keys are hashable, otherwise as lists, Date as
datetime in UTC, bigint as int, undefined and null as None. A file without TensorHub's tree comes as {name: array}.
"""

import json
import struct
from datetime import datetime, timedelta, timezone

import numpy as np
from safetensors import safe_open

BITS = {"BF16": np.uint16, "F8_E4M3": np.uint8, "F8_E5M2": np.uint8}
NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf"), "-0": -0.0}


def load_value(path):
    with open(path, "rb") as raw:
        length = struct.unpack("<Q", raw.read(8))[0]
        header = json.loads(raw.read(length))
        tree = header.pop("__metadata__", {}).get("tensorhub.tree")
        with safe_open(path, framework="np") as file:

            def tensor(name):
                entry = header[name]
                if entry["dtype"] not in BITS:
                    return file.get_tensor(name)
                begin, end = entry["data_offsets"]
                raw.seek(8 + length + begin)
                return np.frombuffer(raw.read(end - begin), BITS[entry["dtype"]]).reshape(entry["shape"])

            if tree is None:
                return {name: tensor(name) for name in header}
            return _decode(json.loads(tree), tensor)


def _decode(node, tensor):
    if isinstance(node, list):
        return [_decode(part, tensor) for part in node]
    if not isinstance(node, dict):
        return node
    if "$t" in node:
        array = tensor(node["$t"])
        look = node.get("as")
        return array.tolist() if look == "nested" else array.tobytes() if look == "ArrayBuffer" else array
    if "$date" in node:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=node["$date"])
    if "$bigint" in node:
        return int(node["$bigint"])
    if "$number" in node:
        return NUMBERS[node["$number"]]
    if "$undefined" in node:
        return None
    if "$map" in node:
        return _hashable(dict, [(_decode(key, tensor), _decode(value, tensor)) for key, value in node["$map"]])
    if "$set" in node:
        return _hashable(set, [_decode(part, tensor) for part in node["$set"]])
    return {key[1:] if key.startswith("$$") else key: _decode(value, tensor) for key, value in node.items()}


def _hashable(make, parts):
    try:
        return make(parts)
    except TypeError:
        return parts
