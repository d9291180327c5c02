"""The networks of perf/support/models.c in PyTorch, with weights copied from Tercet's layouts, and the ways to train them.

A Net's forward gives logits; a Peer is a net with a fixed batch and an optimizer, in one of the variants that PyTorch's own
documentation recommends for speed: eager or torch.compile, foreach or fused optimizer, NCHW or channels_last; on a GPU
torch.compile with its search for the best kernels, and the whole step captured by hand as one CUDA graph.
"""
import ctypes, gc, time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, load):
        super().__init__()
        self.load = load

    def conv(self, name, pad=0, stride=1):
        kernel = self.load(name + ".kernel")  # [r,s,c,k]
        bias = self.load(name + ".bias")
        layer = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], stride, pad, bias=bias is not None)
        layer.weight.data = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        if bias is not None:
            layer.bias.data = torch.from_numpy(bias.copy())
        return layer

    def dense(self, name, image=None):
        """image: (channels, side) of the flattened [side,side,channels], which is [channels,side,side] here."""
        kernel = self.load(name + ".kernel")
        bias = self.load(name + ".bias")
        layer = nn.Linear(*kernel.shape, bias=bias is not None)
        weight = kernel.T
        if image:
            channels, side = image
            weight = weight.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(weight.shape)
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight))
        if bias is not None:
            layer.bias.data = torch.from_numpy(bias.copy())
        return layer

    def norm(self, name, channels):
        layer = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
        layer.weight.data = torch.from_numpy(self.load(name + ".gamma").copy())
        layer.bias.data = torch.from_numpy(self.load(name + ".beta").copy())
        return layer

    def conv_norm(self, name, pad, stride):
        layer = self.conv(name, pad, stride)
        return nn.Sequential(layer, self.norm(name + "-bn", layer.out_channels))

    def layer_norm(self, name):
        gamma = self.load(name + ".gamma")
        layer = nn.LayerNorm(len(gamma), eps=1e-5)
        layer.weight.data = torch.from_numpy(gamma.copy())
        layer.bias.data = torch.from_numpy(self.load(name + ".beta").copy())
        return layer


class MLP(Net):
    def __init__(self, load):
        super().__init__(load)
        self.fc1, self.fc2, self.fc3 = self.dense("fc1"), self.dense("fc2"), self.dense("fc3")

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1))))))


class LeNet5(Net):
    def __init__(self, load):
        super().__init__(load)
        self.c1, self.c2 = self.conv("c1", 2), self.conv("c2")
        self.fc1, self.fc2, self.fc3 = self.dense("fc1", (16, 5)), self.dense("fc2"), self.dense("fc3")

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.c1(x)), 2)
        x = F.max_pool2d(torch.relu(self.c2(x)), 2)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x.flatten(1))))))


class Yardstick(Net):
    def __init__(self, load):
        super().__init__(load)
        self.c1, self.c2, self.fc = self.conv("c1", 1), self.conv("c2", 1), self.dense("fc", (16, 7))

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.c1(x)), 2)
        x = F.max_pool2d(torch.relu(self.c2(x)), 2)
        return self.fc(x.flatten(1))


class ResNet20(Net):
    def __init__(self, load):
        super().__init__(load)
        self.stem, self.blocks = self.conv_norm("stem", 1, 1), nn.ModuleList()
        for stage in range(3):
            for block in range(3):
                name, stride = f"s{stage}-b{block}-", 2 if stage > 0 and block == 0 else 1
                parts = {"c1": self.conv_norm(name + "c1", 1, stride), "c2": self.conv_norm(name + "c2", 1, 1)}
                if stride > 1:
                    parts["skip"] = self.conv_norm(name + "skip", 0, stride)
                self.blocks.append(nn.ModuleDict(parts))
        self.fc = self.dense("fc")

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            y = block["c2"](torch.relu(block["c1"](x)))
            x = torch.relu(y + (block["skip"](x) if "skip" in block else x))
        return self.fc(x.mean((2, 3)))


class ResNet50(Net):
    def __init__(self, load):
        super().__init__(load)
        self.stem, self.blocks = self.conv_norm("stem", 3, 2), nn.ModuleList()
        for stage, n in enumerate((3, 4, 6, 3)):
            for block in range(n):
                name, stride = f"s{stage}-b{block}-", 2 if stage > 0 and block == 0 else 1
                parts = {"c1": self.conv_norm(name + "c1", 0, 1), "c2": self.conv_norm(name + "c2", 1, stride),
                         "c3": self.conv_norm(name + "c3", 0, 1)}
                if block == 0:
                    parts["skip"] = self.conv_norm(name + "skip", 0, stride)
                self.blocks.append(nn.ModuleDict(parts))
        self.fc = self.dense("fc")

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.stem(x)), 3, 2, ceil_mode=True)  # windows from the edge on, as there
        for block in self.blocks:
            y = block["c3"](torch.relu(block["c2"](torch.relu(block["c1"](x)))))
            x = torch.relu(y + (block["skip"](x) if "skip" in block else x))
        return self.fc(x.mean((2, 3)))


class LSTM(Net):
    def __init__(self, load):
        super().__init__(load)
        units = load("lstm1.recurrent_kernel").shape[0]
        self.lstm, self.fc = nn.LSTM(load("lstm1.kernel").shape[0], units, 2, batch_first=True), self.dense("fc")
        for i in range(2):
            values = {"weight_ih": load(f"lstm{i + 1}.kernel").T, "weight_hh": load(f"lstm{i + 1}.recurrent_kernel").T,
                      "bias_ih": load(f"lstm{i + 1}.bias")}
            for name, value in values.items():
                getattr(self.lstm, f"{name}_l{i}").data = torch.from_numpy(np.ascontiguousarray(value))
            second = getattr(self.lstm, f"bias_hh_l{i}")  # Keras has one bias
            second.data.zero_()
            second.requires_grad = False

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


class Block(Net):
    def __init__(self, load, i, activation):
        super().__init__(load)
        self.activation = activation
        self.norm1, self.norm2 = self.layer_norm(f"b{i}-norm1"), self.layer_norm(f"b{i}-norm2")
        at = f"b{i}-attention."
        width = len(load(at + "attention_output.bias"))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)  # one product for the three, as is usual
        parts = [(load(at + p + ".kernel").reshape(width, width), load(at + p + ".bias").reshape(width))
                 for p in ("query", "key", "value")]
        self.qkv.weight.data = torch.from_numpy(np.ascontiguousarray(np.concatenate([p[0] for p in parts], 1).T))
        self.qkv.bias.data = torch.from_numpy(np.concatenate([p[1] for p in parts]))
        self.out.weight.data = torch.from_numpy(
            np.ascontiguousarray(load(at + "attention_output.kernel").reshape(width, width).T))
        self.out.bias.data = torch.from_numpy(load(at + "attention_output.bias").copy())
        self.up, self.down = self.dense(f"b{i}-up"), self.dense(f"b{i}-down")

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (p.view(n, t, width // 64, 64).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate=self.activation))


class GPT(Net):
    n_blocks, activation = 4, "none"

    def __init__(self, load):
        super().__init__(load)
        tokens, positions = load("tokens.embeddings"), load("positions.embeddings")
        self.tokens, self.positions = nn.Embedding(*tokens.shape), nn.Embedding(*positions.shape)
        self.tokens.weight.data = torch.from_numpy(tokens.copy())
        self.positions.weight.data = torch.from_numpy(positions.copy())
        self.blocks = nn.ModuleList(Block(load, i, self.activation) for i in range(self.n_blocks))
        self.last, self.head = self.layer_norm(f"b{self.n_blocks}-norm"), self.dense("head")

    def forward(self, x):
        x = self.tokens(x) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.last(x))


class GPT2(GPT):
    n_blocks, activation = 12, "tanh"


NETS = {"mlp": MLP, "lenet5": LeNet5, "yardstick": Yardstick, "resnet20": ResNet20, "lstm": LSTM, "gpt": GPT, "gpt2": GPT2,
        "resnet50": ResNet50, "lstm1024": LSTM}
IMAGES = {"lenet5": ["", " channels_last"], "yardstick": ["", " channels_last"], "resnet20": ["", " channels_last"],
          "resnet50": [" channels_last"]}  # the large one in the layout that its makers advise
MOMENTUM = {"resnet20": 0.01, "resnet50": 0.0005}


def optimizer_of(name, parameters, how):
    if name in MOMENTUM:
        return torch.optim.SGD(parameters, MOMENTUM[name], momentum=0.9, **how)
    return torch.optim.Adam(parameters, 1e-3, eps=1e-30, **how)


def variants(name, device="cpu"):
    """Names of the ways to run it; 'eager' ones first."""
    layouts = IMAGES.get(name, [""])
    eager = [f"eager {how}{layout}" for layout in layouts for how in ("foreach", "fused")]
    captured = [f"captured fused{layout}" for layout in layouts] if device == "cuda" else []
    return eager + captured + [f"compile fused{layout}" for layout in layouts]


class Peer:
    """Steps take the batches of `batch` samples that the file x holds in turn; `most`: only so many of them."""

    def __init__(self, name, load, variant, batch, precision="f32", device="cpu", most=None):
        self.net = NETS[name](load).to(device)
        self.on_gpu, self.at, self.device = device == "cuda", 0, device
        x, y = (load(field)[:batch * most if most else None] for field in "xy")
        if x.ndim == 4:
            x = x.transpose(0, 3, 1, 2)
        x = torch.from_numpy(np.ascontiguousarray(x if x.dtype != np.int32 else x.astype(np.int64)))
        y = torch.from_numpy(y.astype(np.int64))
        self.host = [(a, b.flatten()) for a, b in zip(x.split(batch), y.split(batch))]
        if variant.endswith("channels_last"):
            self.net = self.net.to(memory_format=torch.channels_last)
            self.host = [(a.contiguous(memory_format=torch.channels_last), b) for a, b in self.host]
        # What a step is given crosses from the host each time, as it does here.
        if self.on_gpu:
            self.host = [(a.pin_memory(), b.pin_memory()) for a, b in self.host]
        self.x, self.y = (t.to(device) for t in self.host[0])
        self.captured = None
        capturable = {"capturable": True} if variant.startswith("captured") and name not in MOMENTUM else {}
        self.optimizer = optimizer_of(name, self.net.parameters(), {variant.split()[1]: True, **capturable})

        def loss_of(x, y):
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                logits = self.net(x)
                return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y)

        mode = {"mode": "max-autotune"} if self.on_gpu else {}
        self.loss_of = torch.compile(loss_of, **mode) if variant.startswith("compile") else loss_of
        if variant.startswith("captured"):
            self.capture()

    def step(self):
        self.optimizer.zero_grad()
        loss = self.loss_of(self.x, self.y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def capture(self):
        """PyTorch's own recipe ("CUDA Graphs"): a few steps on a side stream, their effects undone, then the recording."""
        kept = [p.detach().clone() for p in self.net.parameters()] + [b.clone() for b in self.net.buffers()]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        with torch.no_grad():
            for now, then in zip([*self.net.parameters(), *self.net.buffers()], kept):
                now.copy_(then)
            for state in self.optimizer.state.values():
                for value in state.values():
                    if torch.is_tensor(value):
                        value.zero_()
        self.captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.captured):
            self.loss = self.step()

    def take_batch(self):
        x, y = self.host[self.at % len(self.host)]
        self.at += 1
        if self.on_gpu:
            self.x.copy_(x, non_blocking=True)
            self.y.copy_(y, non_blocking=True)
        else:
            self.x, self.y = x, y

    def run(self, n):
        """Seconds of n steps, begun and ended with nothing under way, and the last loss; self.event_seconds: by the device's own clock."""
        if self.on_gpu:
            events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        begin = time.perf_counter()
        if self.on_gpu:
            events[0].record()
        for _ in range(n):
            self.take_batch()
            if self.captured is not None:
                self.captured.replay()
                loss = self.loss
            else:
                loss = self.step()
            if not self.on_gpu:
                value = loss.item()  # both sides read every step's loss; on a GPU the last one's
        if self.on_gpu:
            events[1].record()
            value = loss.item()
        seconds = time.perf_counter() - begin
        if self.on_gpu:
            events[1].synchronize()
            self.event_seconds = events[0].elapsed_time(events[1]) * 1e-3
        return seconds, value


def prepare(threads, precision="f32"):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Tercet's CPU device does it always; decayed moments cost both dearly
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def product_rate(precision, n=8192):
    """FLOP/s of a product of n x n on the GPU, the median of 20."""
    prepare(torch.get_num_threads(), precision)
    a, b = (torch.rand(n, n, device="cuda", dtype=torch.bfloat16 if precision == "bf16" else torch.float32) for _ in range(2))
    seconds = []
    for i in range(25):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        a @ b
        end.record()
        end.synchronize()
        if i >= 5:
            seconds.append(begin.elapsed_time(end) * 1e-3)
    return 2 * n ** 3 / float(np.median(seconds))


def status_bytes(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def peak_bytes(name, load, variant, batch, precision="f32", device="cpu"):
    """The highest resident set of 5 steps above the process that has loaded the code: as step_server's `memory`; of a GPU
    the most that its allocator held."""
    if device == "cuda":
        Peer(name, load, variant, batch, precision, device).run(5)
        return torch.cuda.max_memory_allocated()
    Peer(name, load, variant, min(batch, 2), precision, most=1).run(1)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    idle = status_bytes("VmRSS")
    peer = Peer(name, load, variant, batch, precision)
    peer.run(5)
    return status_bytes("VmHWM") - idle
