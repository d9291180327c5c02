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
        layer = nn.Linear(*kernel.shape)
        weight = kernel.T
        if image:
            channels, side = image
            weight = weight.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(weight.shape)
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight))
        layer.bias.data = torch.from_numpy(self.load(name + ".bias").copy())
        return layer

    def norm(self, name, channels):
        layer = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
        layer.weight.data = torch.from_numpy(self.load(name + ".gamma").copy())
        layer.bias.data = torch.from_numpy(self.load(name + ".beta").copy())
        return layer


    def layer_norm(self, name):
        layer = nn.LayerNorm(256, eps=1e-5)
        layer.weight.data = torch.from_numpy(self.load(name + ".gamma").copy())
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

        def conv_norm(name, filters, stride):
            pad = 1 if not name.endswith("skip") else 0
            return nn.Sequential(self.conv(name, pad, stride), self.norm(name + "-bn", filters))

        self.stem, self.blocks = conv_norm("stem", 16, 1), nn.ModuleList()
        for stage in range(3):
            for block in range(3):
                name, filters, stride = f"s{stage}-b{block}-", 16 << stage, 2 if stage > 0 and block == 0 else 1
                parts = {"c1": conv_norm(name + "c1", filters, stride), "c2": conv_norm(name + "c2", filters, 1)}
                if stride > 1:
                    parts["skip"] = conv_norm(name + "skip", filters, stride)
                self.blocks.append(nn.ModuleDict(parts))
        self.fc = self.dense("fc")

    def forward(self, x):
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            y = block["c2"](torch.relu(block["c1"](x)))
            x = torch.relu(y + (block["skip"](x) if "skip" in block else x))
        return self.fc(x.mean((2, 3)))


class LSTM(Net):
    def __init__(self, load):
        super().__init__(load)
        self.lstm, self.fc = nn.LSTM(256, 256, 2, batch_first=True), self.dense("fc")
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
    def __init__(self, load, i):
        super().__init__(load)
        self.norm1, self.norm2 = self.layer_norm(f"b{i}-norm1"), self.layer_norm(f"b{i}-norm2")
        at = f"b{i}-attention."
        self.qkv, self.out = nn.Linear(256, 768), nn.Linear(256, 256)  # one product for the three, as is usual
        parts = [(load(at + p + ".kernel").reshape(256, 256), load(at + p + ".bias").reshape(256))
                 for p in ("query", "key", "value")]
        self.qkv.weight.data = torch.from_numpy(np.ascontiguousarray(np.concatenate([p[0] for p in parts], 1).T))
        self.qkv.bias.data = torch.from_numpy(np.concatenate([p[1] for p in parts]))
        self.out.weight.data = torch.from_numpy(
            np.ascontiguousarray(load(at + "attention_output.kernel").reshape(256, 256).T))
        self.out.bias.data = torch.from_numpy(load(at + "attention_output.bias").copy())
        self.up, self.down = self.dense(f"b{i}-up"), self.dense(f"b{i}-down")

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (p.view(n, t, 4, 64).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(256, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, 256))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="none"))


class GPT(Net):
    def __init__(self, load):
        super().__init__(load)
        self.tokens, self.positions = nn.Embedding(256, 256), nn.Embedding(128, 256)
        self.tokens.weight.data = torch.from_numpy(load("tokens.embeddings").copy())
        self.positions.weight.data = torch.from_numpy(load("positions.embeddings").copy())
        self.blocks = nn.ModuleList(Block(load, i) for i in range(4))
        self.last, self.head = self.layer_norm("b4-norm"), self.dense("head")

    def forward(self, x):
        x = self.tokens(x) + self.positions.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.last(x))


NETS = {"mlp": MLP, "lenet5": LeNet5, "yardstick": Yardstick, "resnet20": ResNet20, "lstm": LSTM, "gpt": GPT}
IMAGES = {"lenet5", "yardstick", "resnet20"}


def optimizer_of(name, parameters, how):
    if name == "resnet20":
        return torch.optim.SGD(parameters, 0.01, momentum=0.9, **how)
    return torch.optim.Adam(parameters, 1e-3, eps=1e-30, **how)


def variants(name, device="cpu"):
    """Names of the ways to run it; 'eager' ones first."""
    layouts = ["", " channels_last"] if name in IMAGES else [""]
    eager = [f"eager {how}{layout}" for layout in layouts for how in ("foreach", "fused")]
    captured = [f"captured fused{layout}" for layout in layouts] if device == "cuda" else []
    return eager + [f"compile fused{layout}" for layout in layouts] + captured


class Peer:
    def __init__(self, name, load, variant, batch=None, device="cpu"):
        self.net = NETS[name](load).to(device)
        x, y = load("x")[:batch], load("y")[:batch]
        if x.ndim == 4:
            x = x.transpose(0, 3, 1, 2).copy()
        self.x = torch.from_numpy(x if x.dtype != np.int32 else x.astype(np.int64))
        self.y = torch.from_numpy(y.astype(np.int64)).flatten()
        if variant.endswith("channels_last"):
            self.net = self.net.to(memory_format=torch.channels_last)
            self.x = self.x.to(memory_format=torch.channels_last)
        # What a step is given crosses from the host each time, as it does here.
        self.host, self.x, self.y = (self.x, self.y), self.x.to(device), self.y.to(device)
        if device == "cuda":
            self.host = tuple(t.pin_memory() for t in self.host)
        self.captured, self.on_gpu = None, device == "cuda"
        capturable = {"capturable": True} if variant.startswith("captured") and name != "resnet20" else {}
        self.optimizer = optimizer_of(name, self.net.parameters(), {variant.split()[1]: True, **capturable})

        def loss_of(x, y):
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

    def run(self, n):
        begin = time.perf_counter()
        for _ in range(n):
            if self.on_gpu:
                self.x.copy_(self.host[0], non_blocking=True)
                self.y.copy_(self.host[1], non_blocking=True)
            if self.captured is not None:
                self.captured.replay()
                loss = self.loss
            else:
                loss = self.step()
            value = loss.item()  # both sides read every step's loss
        return time.perf_counter() - begin, value


def prepare(threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Tercet's CPU device does it always; decayed moments cost both dearly


def status_bytes(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


def peak_bytes(name, load, variant, device="cpu"):
    """The highest resident set of 5 steps above the process that has loaded the code: as step_server's `memory`; of a GPU
    the most that its allocator held."""
    if device == "cuda":
        Peer(name, load, variant, device=device).run(5)
        return torch.cuda.max_memory_allocated()
    Peer(name, load, variant, batch=2).run(1)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    idle = status_bytes("VmRSS")
    peer = Peer(name, load, variant)
    peer.run(5)
    return status_bytes("VmHWM") - idle
