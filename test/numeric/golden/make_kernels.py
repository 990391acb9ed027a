"""Makes kernels.json.gz: what the engine's kernels should give, by PyTorch in float64. Channels last; filters as TensorFlow lays them out.

usage: python3 make_kernels.py   (PyTorch 2.x; writes beside itself)
"""
import gzip
import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(20)


def random(*shape, scale=1.0, shift=0.0):
    # float32 values, so that both sides start from the same numbers
    return (torch.randn(*shape, generator=generator) * scale + shift).float().double()


def packed(tensor, digits=9):
    return {"shape": list(tensor.shape), "data": [float(f"{value:.{digits}g}") for value in tensor.detach().flatten().tolist()]}


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def with_gradients(inputs, compute):
    """inputs: name → tensor. Gradients of sum(y · dy) for a random dy."""
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in inputs.items()}
    y = compute(**leaves)
    dy = random(*y.shape)
    (y * dy).sum().backward()
    return {
        "inputs": {name: packed(tensor) for name, tensor in inputs.items()},
        "dy": packed(dy),
        "y": packed(y, 7),
        "gradients": {name: packed(leaf.grad, 7) for name, leaf in leaves.items()},
    }


def batch_norm_training():
    epsilon = 1e-3
    x, scale, offset = random(3, 4, 5, 6, scale=2.0, shift=1.5), random(6, scale=0.5, shift=1.0), random(6)
    case = with_gradients(
        {"x": x, "scale": scale, "offset": offset},
        lambda x, scale, offset: channels_last(F.batch_norm(channels_first(x), None, None, scale, offset, training=True, eps=epsilon)),
    )
    flat = x.reshape(-1, 6)
    return {**case, "epsilon": epsilon, "mean": packed(flat.mean(0)), "variance": packed(flat.var(0, unbiased=True))}


def activation(function):
    x = random(4, 3, 2, 5, scale=5.0)
    x.view(-1)[:6] = torch.tensor([0.0, 6.0, -0.0, -6.0, 3.0, 7.0])  # the corners too
    return with_gradients({"x": x}, lambda x: function(x))


def same_padding(size, kernel, stride):
    """TensorFlow's SAME: the odd pixel after, not before."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def convolution(size, kernel, stride, depthwise, inputs=3, outputs=4):
    filter_shape = (kernel, kernel, inputs, 1 if depthwise else outputs)

    def compute(x, filter):
        before, after = same_padding(size, kernel, stride)
        padded = F.pad(channels_first(x), (before, after, before, after))
        weight = filter.permute(2, 3, 0, 1) if depthwise else filter.permute(3, 2, 0, 1)
        return channels_last(F.conv2d(padded, weight, stride=stride, groups=inputs if depthwise else 1))

    case = with_gradients({"x": random(2, size, size, inputs), "filter": random(*filter_shape, scale=0.3)}, compute)
    return {**case, "kind": "depthwise" if depthwise else "plain", "stride": stride, "kernel": kernel, "size": size}


def fused_convolution(size, kernel, stride, depthwise, activation, inputs, outputs, batch=2):
    plain = {"linear": lambda y: y, "relu": F.relu, "relu6": F.relu6}[activation]

    def compute(x, filter, bias):
        before, after = same_padding(size, kernel, stride)
        padded = F.pad(channels_first(x), (before, after, before, after))
        weight = filter.permute(2, 3, 0, 1) if depthwise else filter.permute(3, 2, 0, 1)
        return channels_last(plain(F.conv2d(padded, weight, bias, stride=stride, groups=inputs if depthwise else 1)))

    filter_shape = (kernel, kernel, inputs, 1 if depthwise else outputs)
    case = with_gradients(
        {"x": random(batch, size, size, inputs), "filter": random(*filter_shape, scale=0.3), "bias": random(inputs if depthwise else outputs, shift=1.0)}, compute)
    return {**case, "kind": "depthwise" if depthwise else "plain", "stride": stride, "kernel": kernel, "size": size, "activation": activation}


golden = {
    "batchNormTraining": batch_norm_training(),
    "relu": activation(F.relu),
    "relu6": activation(F.relu6),
    "convolutions": [
        convolution(6, 3, 1, False), convolution(6, 3, 2, False), convolution(7, 3, 2, False), convolution(5, 1, 1, False),
        convolution(6, 3, 1, True), convolution(6, 3, 2, True), convolution(7, 5, 2, True), convolution(6, 5, 1, True),
    ],
    # 3, 6 and 128 channels in: other kernels serve few and many.
    "fusedConvolutions": [
        fused_convolution(7, 3, 2, False, "relu6", 3, 4), fused_convolution(6, 3, 1, False, "relu", 6, 5), fused_convolution(5, 1, 1, False, "relu6", 6, 5),
        fused_convolution(5, 1, 1, False, "linear", 6, 5), fused_convolution(3, 2, 1, False, "relu", 128, 2, batch=1),
        fused_convolution(6, 5, 1, True, "relu6", 4, 4), fused_convolution(7, 3, 2, True, "relu", 4, 4), fused_convolution(6, 3, 2, True, "linear", 4, 4),
    ],
}
text = json.dumps(golden, separators=(",", ":")) + "\n"
Path(__file__).with_name("kernels.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
