#!/usr/bin/env python3
"""Writes tests/fuzz/seeds: small files at the boundaries of every format, whole and broken. What a fuzzer finds is added by
hand as found-*. Run it after changing a format; the files are committed, so that tests need no Python."""
import gzip, json, struct, sys, zlib
from pathlib import Path

root = Path(__file__).parent / "seeds"


def write(target, name, data):
    folder = root / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


# ---- chips: a line of overrides, then a file
chip = (root.parents[2] / "runtime" / "systolic" / "chips" / "v3.yaml").read_text()
for name, text in {
    "whole": "hbm=1.2TB/s,array=64x256\n" + chip,
    "file": "\n" + chip,
    "override": "clock=1e9",
    "limits": "array=4096x4096,chips=4096,cores=64,arrays=64,vmem=1TB,clock=100GHz\n",
    "least": "array=1x1,vmem=64KiB,clock=1MHz,hbm=1MB/s,lanes=1,sublanes=1\n",
    "beyond": "array=4097x1,hbm=1e400,vmem=-1,lanes=0\n",
    "units": "hbm=1GiB/s,vmem=1 MiB,latency=5 us,mac=1pJ\n",
    "twice": "\n" + chip + "clock: 1 GHz\n",
    "missing": "\nname: x\nclock: 1 GHz\n",
    "list": "\n- 1\n- 2\n",
    "nested": "\nclock: {value: {value: 1}}\n",
}.items():
    write("chip", name, text)

# ---- job and overrides
model = "model: {layers: [Flatten, {Dense: {units: 10, activation: softmax}}]}\n"
loss = "loss: sparse_categorical_crossentropy\n"
data = "data: {type: glyphs, samples: 20}\n"
example = (root.parents[2] / "examples" / "glyphs.yaml").read_text()
for name, text in {
    "example": example,
    "small": data + model + loss,
    "empty": "",
    "scalar": "1",
    "depth-32": "a: " + "[" * 31 + "]" * 31,
    "depth-33": "a: " + "[" * 40 + "]" * 40,
    "numbers": data + model + loss + "train: {epochs: 1000000, batch_size: 9223372036854775807}\nseed: 18446744073709551615\n",
    "overflow": data + model + loss + "train: {batch_size: 9223372036854775808}\nseed: 1e999\n",
    "csv": "data: {type: csv, file: x.csv, header: true, target: '-1', delimiter: ';', standardize: {mean: [0, 1], std: [1, 2]}}\n"
           + model + "loss: {type: huber, delta: 2}\noptimizer: {type: adamw, learning_rate: 1e-3}\nschedule: {type: cosine}\n",
    "branches": data + "model: {inputs: {x: {shape: [2, 2], dtype: f32}}, width: 3, layers: [{Dense: {units: $width, name: a}}, "
                "{Dense: {units: 3, name: b}}, {Add: {inputs: [a, b]}}]}\nloss: mse\nmetrics: [mae, r2]\n",
    "anchors": "a: &x 1\nb: *x\n",
    "utf8": "name: \"\\u00e4\\U0001F600\"\n" + data + model + loss,
    "breaks": "name: \"a\\N\\L\\P \\x7f\\x81\\uFEFF\\uFFFF\"\n" + data + model + loss,
    "bytes": b"name: \xff\xfe\n",
}.items():
    write("job", name, text)
for name, text in {
    "one": "train.epochs=3",
    "several": "model.width=64\nmodel.layers[1].units=5\nmodel.layers.fc1.units=6\nseed=1",
    "remove": "train=null",
    "list": "metrics=[accuracy, top_k=5]",
    "wrong": "model.layers[99].units=5\nno equals\n=1\na..b=1",
    "deep": ".".join("a" * 60) + "=1",
    "negative": "model.layers[-1].units=1\nmodel.layers[99999999999999999999]=1",
}.items():
    write("set", name, text)

# ---- IDX, gzip, .npy
def idx(dims, body, kind=8):
    return bytes([0, 0, kind, len(dims)]) + b"".join(struct.pack(">I", d) for d in dims) + body


def pair(labels, images):
    return struct.pack("<H", len(labels)) + labels + images


images, labels = idx([2, 2, 2], bytes(range(8))), idx([2], b"\0\1")
for name, blob in {
    "pair": pair(labels, images),
    "alone": pair(b"", images),
    "gzip": pair(gzip.compress(labels, mtime=0), gzip.compress(images, mtime=0)),
    "swapped": pair(images, labels),
    "short": pair(labels, images[:-1]),
    "long": pair(labels, images + b"\0"),
    "header": pair(b"", images[:7]),
    "huge": pair(b"", idx([0xFFFFFFFF] * 3, b"")),
    "none": pair(b"", idx([0, 28, 28], b"")),
    "floats": pair(b"", idx([1, 1, 1], b"\0\0\0\0", kind=0x0D)),
    "page": pair(b"", b"<!DOCTYPE html><html></html>"),
    "gzip-cut": pair(b"", gzip.compress(images, mtime=0)[:-5]),
    "gzip-tail": pair(b"", gzip.compress(images, mtime=0) + b"x"),
    "gzip-twice": pair(b"", gzip.compress(images[:10], mtime=0) + gzip.compress(images[10:], mtime=0)),
}.items():
    write("idx", name, blob)


def npy(header, body, version=1):
    text = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    length = struct.pack("<H", len(text)) if version == 1 else struct.pack("<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


for name, blob in {
    "f4": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", struct.pack("<6f", *range(6))),
    "u1": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }", b"\0\1\2\3", 2),
    "b1": npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", b"\0\2"),
    "scalar": npy("{'descr': '<i8', 'fortran_order': False, 'shape': (), }", b"\0" * 8),
    "empty": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 3), }", b""),
    "rank-8": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1), }", b"\0"),
    "rank-9": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", b"\0"),
    "overflow": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", b""),
    "zero-overflow": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 9223372036854775807, 9), }", b""),
    "fortran": npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1), }", b"\0" * 4),
    "fields": npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", b"\0" * 4),
    "cut": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", b"\0" * 23),
    "magic": b"\x93NUMPY\x01\x00",
}.items():
    write("npy", name, blob)

# ---- CSV and text: a byte of options in front
for name, text in {
    "header": "\0a,b,y\n1,2,red\n3,4,blue\n",
    "numbers": "\x021.5,2e3,-1\n+.5,1.,0\n",
    "quotes": "\0\"a \"\"x\"\"\",b\r\n\"1\",2\r\n",
    "semicolon": b"\x80a;y\n1;2\n",
    "ragged": "\x021,2\n3\n",
    "open": "\0a,b\n\"1,2\n",
    "nan": "\x02nan,1\n",
    "inf": "\x021e999,1\n",
    "zero": "\0a,b\n1,\0\n",
    "bom": b"\0\xef\xbb\xbfa,y\n1,2\n",
    "only-header": "\x01a,b\n",
    "nothing": "\0",
    "classes": b"\x24a,y\n1,0\n2,1\n",
    "gzip": b"\0" + gzip.compress(b"a,y\n1,2\n", mtime=0),
    "long-cell": "\x02" + "1" * 1001 + ",1\n",
}.items():
    write("csv", name, text)
for name, text in {"abc": "\x03abcabcabc", "one": "\0a", "nothing": "\0", "last": b"\x82hello world", "bytes": bytes(range(256))}.items():
    write("characters", name, text)

conv = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
for name, text in {
    "conv": conv + "\nConv1, 8, 8, 3, 3, 4, 16, 2,\nDP2, 4, 4, 3, 3, 16, 1, 1,#dw\n",
    "untidy": conv + ",,Eh,Ew\r\n,,,,,,,,\r\n\r\n\tFC ,1,1,1,1,2048,10,1",
    "tabs": conv.replace(",", "\t") + "\nA\t8\t8\t3\t3\t1\t4\t1\t\n",
    "products": "Layer,M,N,K,Sparsity,\nA,3,5,16,3:4,\n\n\"B, C\",1,1,1,1:1,\n",
    "semicolons": b"\xef\xbb\xbflayer_name;m;n;k;batch size\nx;1;2;3;1\n",
    "large": "Layer,M,N,K\nA,1073741824,1073741824,1073741824\nB,9223372036854775808,1,1\n",
    "many": conv + "\nDP,1,1,1,1,1048577,1,1,\n",
    "cut": conv + "\nA,8,8,3",
    "filter": conv + "\nA,2,2,3,3,1,1,1\n",
    "header": conv,
    "zero": conv + "\nA,8,8,3,3,1,1,\0\n",
    "open": "Layer,M,N,K\n\"A,1,1,1\n",
}.items():
    write("topology", name, text)

tiles, layers = "mode,R,C,n_folds,T_per_fold,weight_ready_cycle_per_fold", ("simulator,mode,bandwidth_words_per_cycle,"
    "sram_kb_ifmap/filter/ofmap,ifmap_h,ifmap_w,filter_h,filter_w,channels,num_filters,stride_h,dataflow,array_rows,array_cols")
for name, text in {
    "tiles": tiles + "\nws_overlap,1,2,5,7 18 15 17 8,0 44 54 11 0\nos_serial_drain,9,9,3,20 19 8,0 0 0\n",
    "results": "cycles,\"a,\"\"b\",R,C,T_per_fold,mode\r\n1,\"c\nd\",3,3,4 5,is_overlap",
    "tile-errors": tiles + "\nos_overlap,0,1,1,0,-1\n",
    "cycles-2-62": tiles + "\nws_serial,1,1,1,9223372036854775807,0\n",
    "calc": layers + "\nv2,calc,,1/1/1,8,9,3,2,4,5,1,ws,4,3\nv3,calc,,1/2/1,8,8,3,3,4,5,2,is,2,2\n",
    "user": layers + ",M\nv3,user,3,1/1/1,8,8,3,3,9,9,1,os,4,3,\nv2,user,1,2/1/1,4,4,1,4,1,9,1,ws,2,2,4\n",
    "out-of-range": layers + "\nv2,calc,,0/1/1,8,9,3,2,4,5,1,ws,4,3\n",
    "zero": layers + "\nv2,calc,,1/1/1,8,9,3,2,4,5,0,ws,4,\0\n",
}.items():
    write("experiments", name, text)


# ---- safetensors
def tensors(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


kernel, bias = struct.pack("<6f", *range(6)), struct.pack("<2f", 1, 2)
good = tensors({"fc1/kernel": entry("F32", [3, 2], 0, 24), "fc1/bias": entry("F32", [2], 24, 32)}, kernel + bias)
with_job = tensors({"__metadata__": {"format": "tercet", "tercet.job": data + "model: {inputs: {x: {shape: [3]}}, layers: [{Dense: {units: 2, "
                    "name: fc1}}]}\nloss: mse\ndevice: ref\n"}, "fc1/kernel": entry("F32", [3, 2], 0, 24), "fc1/bias": entry("F32", [2], 24, 32)},
                   kernel + bias)
for name, blob in {
    "good": good,
    "job": with_job,
    "f64": tensors({"fc1/kernel": entry("F64", [3, 2], 0, 48), "fc1/bias": entry("F64", [2], 48, 64)}, b"\0" * 64),
    "other": tensors({"fc2/kernel": entry("F32", [2, 3], 0, 24)}, kernel),
    "empty": tensors({}),
    "no-bytes": b"",
    "cut": good[:-1],
    "left-over": good + b"\0",
    "overlap": tensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, b"\0" * 6),
    "gap": tensors({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 4, 6)}, b"\0" * 6),
    "backwards": tensors({"a": entry("U8", [0], 6, 0)}, b"\0" * 6),
    "shape": tensors({"a": entry("F32", [4611686018427387904, 4], 0, 0)}),
    "negative": tensors({"a": entry("F32", [-1], 0, 4)}, b"\0" * 4),
    "rank-8": tensors({"a": entry("U8", [1] * 8, 0, 1)}, b"\0"),
    "rank-9": tensors({"a": entry("U8", [1] * 9, 0, 1)}, b"\0"),
    "twice": tensors(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"\0"),
    "bool": tensors({"a": entry("BOOL", [2], 0, 2)}, b"\0\2"),
    "length": tensors({}, length=2**64 - 1),
    "length-most": tensors({}, length=100_000_001),
    "deep": tensors(b"[" * 3000),
    "meta": tensors({"__metadata__": {"a": 1}}),
    "number": tensors(b'{"a":{"dtype":"U8","shape":[1e0],"data_offsets":[0,18446744073709551616]}}', b"\0"),
}.items():
    write("safetensors", name, blob)
    if name in ("good", "job", "f64", "other", "cut", "empty"):
        write("weights", name, blob)

# ---- checkpoints: a byte in front, odd when the target makes the frame
def body(files, run):
    return json.dumps({"version": "0.1.0", "files": files, "run": run}, separators=(",", ":"))


file = {"name": "checkpoint-00000001.safetensors", "bytes": 144, "crc32": "00000000"}
whole = body([file], {})
framed = '{"format":"tercet.checkpoint.1","crc32":"%08x","body":%s}' % (zlib.crc32(whole.encode()), whole)
for name, text in {
    "whole": "\1" + whole,
    "framed": "\0" + framed,
    "cut": "\0" + framed[:-1],
    "sum": "\0" + framed.replace("0.1.0", "0.1.1"),
    "no-run": "\1" + body([file], None),
    "two-files": "\1" + body([file, file], {}),
    "name": "\1" + body([dict(file, name="../x")], {}),
    "bytes": "\1" + body([dict(file, bytes=-1)], {}),
    "crc": "\1" + body([dict(file, crc32="0000000G")], {}),
    "empty": "\1",
}.items():
    write("checkpoint", name, text)

# ---- environment and options
for name, text in {
    "plain": "add.f32,mul.f32\nfuse_chain\n2\nref",
    "commas": ",, ,a,\n,\n1\ncpu:0",
    "threads-0": "\n\n0\ncpu",
    "threads-word": "\n\nmany\ncpu",
    "threads-negative": "\n\n-1\ncheck:ref",
    "device-63": "\n\n1\n" + "x" * 63,
    "device-64": "\n\n1\n" + "x" * 64,
    "device-number": "\n\n1\ncpu:99999999999999999999",
    "nested": "\n\n1\ncheck:check:check:ref",
}.items():
    write("environment", name, text)
for name, text in {
    "train": "train\njob.yaml\n--epochs\n3\n--set\nmodel.width=1\n-q",
    "cluster": "train\n-qv\n-sx=1\n-j2\njob.yaml",
    "unknown": "train\n--epoch\n3",
    "equals": "data\nglyphs\n--train=9223372036854775808\n-o.",
    "dashes": "predict\n--\n-x\n-y",
    "empty": "\n\n",
}.items():
    write("options", name, text)
print(sum(1 for _ in root.rglob("*") if _.is_file()), "seeds", file=sys.stderr)
