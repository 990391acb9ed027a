"""Golden values for the network's numeric tests, computed by PyTorch in float64.

usage: python make_network.py OUTPUT_FOLDER [LITE0.pth LITE1.pth LITE2.pth]
needs: torch, numpy, safetensors

Small networks, each with random parameters and one batch of images:
- lite: a narrow, shallow EfficientNet-Lite (the definition below also loads the published Lite0 weights, strictly);
- residual: PyTorch's geometry, with every other node type: padding by numbers, biases, relu, max pooling, concatenation.
- basic, bottleneck, mobile: narrow, shallow ResNets and a MobileNetV2. At full width the same definitions are torchvision's: names, shapes and
  logits are compared here, where torchvision is installed.
For each: logits in evaluation mode; logits, loss and gradients with batch norm frozen and with batch statistics; for the first two, parameters
and running statistics after one and after three steps of SGD. A seed is taken only if PyTorch's own float32 values agree with its float64 ones to 1e-5,
since in other networks a ReLU flips and no implementation could agree. Besides:
- legacy.pth, legacy.safetensors: the same tensors in PyTorch's legacy layout and plainly, with types, views and strides of many kinds;
- published.safetensors, with the published weights: each network's logits on a test pattern.
"""
import argparse
import copy
import json
import math
import pathlib

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
OWN_ERROR = 1e-5
# The tests refuse gradients from 1e-3 on, logits from 1e-4.
SEEN = 1.5e-3
SGD = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}


class SameConv2d(nn.Conv2d):
    """TensorFlow's SAME padding: the output is ceil(input / stride), an odd remainder goes to the bottom right."""

    def forward(self, x):
        pads = []
        for size, kernel, stride in zip(reversed(x.shape[-2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] and pads[2] == pads[3]:  # as quick as PyTorch can
            return F.conv2d(x, self.weight, self.bias, self.stride, (pads[2], pads[0]), 1, self.groups)
        return self._conv_forward(F.pad(x, pads), self.weight, self.bias)


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


def batch_norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project."""

    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        if expansion != 1:
            self._expand_conv = conv(inputs, wide, 1)
            self._bn0 = batch_norm(wide)
        self._depthwise_conv = conv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = batch_norm(wide)
        self._project_conv = conv(wide, outputs, 1)
        self._bn2 = batch_norm(outputs)
        self.expands = expansion != 1
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


class EfficientNetLite(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self._conv_stem = conv(3, shape["stem"], 3, 2)
        self._bn0 = batch_norm(shape["stem"])
        channels = shape["stem"]
        blocks = []
        for group in shape["groups"]:
            for repeat in range(group["repeats"]):
                stride = group["stride"] if repeat == 0 else 1
                blocks.append(Block(channels, group["channels"], group["kernel"], stride, group["expansion"]))
                channels = group["channels"]
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = conv(channels, shape["head"], 1)
        self._bn1 = batch_norm(shape["head"])
        self._fc = nn.Linear(shape["head"], classes)

    def forward(self, x):
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return self._fc(F.relu6(self._bn1(self._conv_head(x))).mean((2, 3)))


def groups(*rows):
    return [dict(zip(("repeats", "kernel", "stride", "expansion", "channels"), row)) for row in rows]


LITE0 = {"stem": 32, "head": 1280, "groups": groups(
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))}
LITES = [
    (224, LITE0),
    (240, {"stem": 32, "head": 1280, "groups": groups(
        (1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 40), (4, 3, 2, 6, 80), (4, 5, 1, 6, 112), (5, 5, 2, 6, 192), (1, 3, 1, 6, 320))}),
    (260, {"stem": 32, "head": 1280, "groups": groups(
        (1, 3, 1, 1, 16), (3, 3, 2, 6, 24), (3, 5, 2, 6, 48), (4, 3, 2, 6, 88), (4, 5, 1, 6, 120), (5, 5, 2, 6, 208), (1, 3, 1, 6, 352))}),
]
# 30 → 15 → 8 → 4: both parities of SAME padding, kernels 3 and 5.
NARROW = {"stem": 8, "head": 24, "inputSize": 30, "groups": groups((1, 3, 1, 1, 6), (2, 3, 2, 4, 8), (2, 5, 2, 3, 10))}


class Residual(nn.Module):
    """A stem with max pooling, a residual block with a projection, a concatenation: the pieces of ResNet and SqueezeNet."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, 2, 2)
        self.bn = nn.BatchNorm2d(8)
        self.conv1 = nn.Conv2d(8, 12, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 12, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(12)
        self.down = nn.Conv2d(8, 12, 1, 2, bias=False)
        self.bnd = nn.BatchNorm2d(12)
        self.squeeze = nn.Conv2d(12, 6, 1)
        self.expand1 = nn.Conv2d(6, 8, 1)
        self.expand3 = nn.Conv2d(6, 8, 3, padding=1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn(self.stem(x))), 3, 2, 1)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        x = F.relu(y + self.bnd(self.down(x)))
        s = F.relu(self.squeeze(x))
        x = torch.cat([F.relu(self.expand1(s)), F.relu(self.expand3(s))], 1)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return self.fc(x.mean((2, 3)))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, middle, outputs, stride, bottleneck):
        super().__init__()
        rows = [(inputs, middle, 1, 1), (middle, middle, 3, stride), (middle, outputs, 1, 1)] if bottleneck else [(inputs, middle, 3, stride), (middle, outputs, 3, 1)]
        self.count = len(rows)
        for index, (a, b, kernel, step) in enumerate(rows, 1):
            setattr(self, f"conv{index}", nn.Conv2d(a, b, kernel, step, kernel // 2, bias=False))
            setattr(self, f"bn{index}", nn.BatchNorm2d(b))
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = x
        for index in range(1, self.count + 1):
            y = getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(y))
            if index < self.count:
                y = F.relu(y)
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        width, bottleneck = shape["width"], shape["block"] == "bottleneck"
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        self.stages = len(shape["blocks"])
        for stage, count in enumerate(shape["blocks"]):
            middle = width * 2**stage
            outputs = middle * 4 if bottleneck else middle
            blocks = []
            for block in range(count):
                blocks.append(ResidualBlock(channels, middle, outputs, 2 if stage > 0 and block == 0 else 1, bottleneck))
                channels = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


class Activated(nn.Sequential):
    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        super().__init__(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU6())


class MobileBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        self.conv = nn.Sequential(*([Activated(inputs, wide, 1)] if expansion != 1 else []), Activated(wide, wide, 3, stride, wide),
                                  nn.Conv2d(wide, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        layers, channels = [Activated(3, shape["stem"], 3, 2)], shape["stem"]
        for group in shape["groups"]:
            for repeat in range(group["repeats"]):
                layers.append(MobileBlock(channels, group["channels"], group["stride"] if repeat == 0 else 1, group["expansion"]))
                channels = group["channels"]
        layers.append(Activated(channels, shape["head"], 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(shape["head"], classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class Fire(nn.Module):
    def __init__(self, inputs, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        layers, channels = [nn.Conv2d(3, shape["stem"], 3, 2), nn.ReLU()], shape["stem"]
        for fire in shape["fires"]:
            layers += [nn.MaxPool2d(3, 2, ceil_mode=True)] if fire["pool"] else []
            layers.append(Fire(channels, fire["squeeze"], fire["expand"]))
            channels = 2 * fire["expand"]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Conv2d(channels, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        return self.classifier(self.features(x)).flatten(1)


def fires(*rows):
    return [dict(zip(("squeeze", "expand", "pool"), row)) for row in rows]


def mobile_groups(*rows):
    return [dict(zip(("expansion", "channels", "repeats", "stride"), row)) for row in rows]


RESNETS = {"resnet18": ("basic", [2, 2, 2, 2]), "resnet34": ("basic", [3, 4, 6, 3]), "resnet50": ("bottleneck", [3, 4, 6, 3])}
MOBILE = {"stem": 32, "head": 1280, "groups": mobile_groups(
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))}
BASIC = {"block": "basic", "blocks": [1, 1], "width": 6}
BOTTLENECK = {"block": "bottleneck", "blocks": [1, 1], "width": 4}
SQUEEZE = {"inputSize": 224, "stem": 64, "fires": fires(
    (16, 64, True), (16, 64, False), (32, 128, True), (32, 128, False), (48, 192, True), (48, 192, False), (64, 256, False), (64, 256, False))}
# 38 → 18 → 9 → 4 rounded up: a pool whose last window hangs over the edge, and one whose windows fit.
NARROW_SQUEEZE = {"inputSize": 38, "stem": 8, "fires": fires((4, 6, True), (4, 7, False), (5, 8, True))}
NARROW_MOBILE = {"stem": 6, "head": 20, "groups": mobile_groups((1, 5, 1, 1), (4, 6, 2, 2), (3, 8, 1, 1))}


def compare_with_torchvision():
    """The definitions above, at full width, are torchvision's."""
    try:
        from torchvision import models
    except ImportError:
        print("torchvision is not installed: the definitions were not compared with it")
        return
    networks = {name: lambda block=block, blocks=blocks: ResNet({"block": block, "blocks": blocks, "width": 64}, 1000) for name, (block, blocks) in RESNETS.items()}
    networks["mobilenet_v2"] = lambda: MobileNetV2(MOBILE, 1000)
    networks["squeezenet1_1"] = lambda: SqueezeNet(SQUEEZE, 1000)
    for name, make in networks.items():
        images = torch.randn((4, 3, 96, 96), generator=torch.Generator().manual_seed(1))
        ours, theirs = make(), getattr(models, name)(weights=None)
        randomise(ours, images, torch.Generator().manual_seed(2))
        print(name, theirs.load_state_dict(ours.state_dict(), strict=True), end=" ")
        with torch.no_grad():
            a, b = ours.double().eval()(images.double()), theirs.double().eval()(images.double())
        assert (a - b).abs().max() <= 1e-12 * b.abs().max(), name
        print("logits equal torchvision's")


@torch.no_grad()
def randomise(network, images, generator):
    """Random weights; running statistics near those of the data, so that nothing dies and logits are about 1; all affines random."""
    uniform = lambda tensor, low, high: low + (high - low) * torch.rand(tensor.shape, generator=generator)
    normal = lambda tensor: torch.randn(tensor.shape, generator=generator)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            module.weight.copy_(normal(module.weight) * math.sqrt(1 / fan_in))
            if module.bias is not None:
                module.bias.copy_(normal(module.bias) * 0.3)
    for module in norms:
        # Wide enough that relu6 meets values above 6.
        module.weight.copy_(uniform(module.weight, 0.7, 2.5))
        module.bias.copy_(0.5 + 0.5 * normal(module.bias))
    momenta = [module.momentum for module in norms]
    for module in norms:
        module.momentum = 1.0
    network.train()
    network(images)
    for module, momentum in zip(norms, momenta):
        module.momentum = momentum
        module.running_mean += (0.3 + 0.3 * normal(module.running_mean)) * module.running_var.sqrt()
        module.running_var *= uniform(module.running_var, 0.7, 1.6)
    network.eval()
    last = head_of(network)
    scale = network(images).std()
    last.weight /= scale
    if isinstance(last, nn.Conv2d):  # rectified after it: its bias has to keep step
        last.bias /= scale


def head_of(network):
    """The last layer with weights: linear, or SqueezeNet's convolution."""
    return [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]


def features_of(network, images):
    """What goes into the head, [batch, channels] or [batch, height, width, channels]."""
    seen = []
    hook = head_of(network).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network.eval()(images)
    hook.remove()
    return seen[0].permute(0, 2, 3, 1).contiguous() if seen[0].dim() == 4 else seen[0]


def batch_norm_mode(network, mode):
    network.train()
    if mode == "frozen":
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()


def state_of(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def values_of(network, images, labels):
    """Everything that is compared, by `section/name`."""
    values = {}
    network.eval()
    with torch.no_grad():
        values["evaluation/logits"] = network(images)
    values["evaluation/features"] = features_of(network, images)
    for mode in ("frozen", "batch"):
        trained = copy.deepcopy(network)
        optimizer = torch.optim.SGD(trained.parameters(), **SGD)
        for step in (1, 2, 3):
            batch_norm_mode(trained, mode)
            optimizer.zero_grad()
            logits = trained(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            if step == 1:
                values[f"{mode}/logits"] = logits.detach().clone()
                values[f"{mode}/loss"] = loss.detach().reshape(1)
                for name, parameter in trained.named_parameters():
                    values[f"{mode}/gradient/{name}"] = parameter.grad.clone()
            optimizer.step()
            for name, tensor in state_of(trained).items():
                if step == 3 or (step == 1 and mode == "batch" and "running" in name):
                    values[f"{mode}/step{step}/{name}"] = tensor
    return values


def own_error(single, double, start):
    """The largest error of float32 against float64, measured as the tests measure it."""
    worst = 0.0
    largest = {mode: max(v.norm() for k, v in double.items() if k.startswith(f"{mode}/gradient/")) for mode in ("frozen", "batch")}
    for name, exact in double.items():
        error = (single[name].double() - exact).norm()
        parts = name.split("/", 2)
        if parts[1] in ("step1", "step3"):
            # How far it moved, unless that is lost in its own rounding.
            scale = max((exact - start[parts[2]]).norm(), 1e-2 * exact.norm())
        elif parts[1] == "gradient":
            # The bias of a convolution before batch norm has no gradient but rounding.
            scale = max(exact.norm(), 1e-3 * largest[parts[0]])
        else:
            scale = exact.norm()
        worst = max(worst, float(error / scale))
    return worst


def relu6_saturates(network, images):
    above = []
    hooks = [module.register_forward_hook(lambda _m, _i, y: above.append(float((y > 6).double().mean())))
             for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    network.eval()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return sum(above) / max(1, len(above))


def one_percent_shows(network, images, labels, double):
    """Whether tests of logits and gradients would see each tensor that is 1 % off; what has no effect at all (< 1e-6) on a gradient doesn't count."""
    exact = double["evaluation/logits"]
    for name in state_of(network):
        changed = copy.deepcopy(network).eval()
        changed.state_dict()[name].mul_(1.01)
        with torch.no_grad():
            if (changed(images) - exact).abs().max() < SEEN / 10 * exact.abs().max():
                return False
    for mode in ("frozen", "batch"):
        names = [name for name, _ in network.named_parameters()] if mode == "batch" else list(state_of(network))
        exact = {name: double[f"{mode}/gradient/{name}"] for name, _ in network.named_parameters()}
        largest = max(value.norm() for value in exact.values())
        for name in names:
            changed = copy.deepcopy(network)
            changed.state_dict()[name].mul_(1.01)
            batch_norm_mode(changed, mode)
            F.cross_entropy(changed(images), labels).backward()
            worst = max(float((parameter.grad - exact[key]).norm() / max(exact[key].norm(), 1e-3 * largest)) for key, parameter in changed.named_parameters())
            if 1e-6 < worst < SEEN:
                return False
    return True


def search(make, size, classes, batch, saturates, steps, first):
    for seed in range(first, first + 1000):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randn((batch, 3, size, size), generator=generator)
        labels = torch.randint(classes, (batch,), generator=generator)
        network = make()
        randomise(network, images, generator)
        start = state_of(network)
        single = values_of(copy.deepcopy(network), images, labels)
        double = values_of(copy.deepcopy(network).double(), images.double(), labels)
        error = own_error(single, double, start)
        saturated = relu6_saturates(network, images)
        if error <= OWN_ERROR and (saturated > 0.002 or not saturates) and (steps or one_percent_shows(network.double(), images.double(), labels, double)):
            return seed, error, saturated, images, labels, start, double
    raise SystemExit("no seed will do")


def save(folder, name, make, shape, size, classes, batch, first=0, saturates=True, steps=True):
    seed, error, saturated, images, labels, start, double = search(make, size, classes, batch, saturates, steps, first)
    tensors = {"images": images.permute(0, 2, 3, 1), "labels": labels.int()}
    tensors |= {f"start/{key}": value for key, value in start.items()}
    tensors |= {key: value.float() for key, value in double.items() if steps or "/step" not in key}
    metadata = {"seed": str(seed), "torchFloat32Error": f"{error:.1e}", "torch": torch.__version__, "sgd": json.dumps(SGD), "classes": str(classes),
                "shape": json.dumps(shape)}
    file = folder / f"{name}.safetensors"
    safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()}, file, metadata)
    logits = double["evaluation/logits"]
    print(f"{file.name}: seed {seed}, float32 error {error:.1e}, logits' std {logits.std():.2f}, above 6 {saturated:.3f}, {file.stat().st_size} bytes")


def save_legacy(folder):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn((4, 5, 3), generator=generator)
    state = {
        "plain": torch.randn((2, 3), generator=generator),
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:3, ::2],
        "shared": base,
        "channelsLast": torch.randn((2, 3, 4, 5), generator=generator).to(memory_format=torch.channels_last),
        "scalar": torch.tensor(7),
        "empty": torch.zeros((0, 4)),
        "double": torch.randn(3, generator=generator).double(),
        "int": torch.tensor([-1, 2**31 - 1], dtype=torch.int32),
        "short": torch.tensor([-2, 3], dtype=torch.int16),
        "char": torch.tensor([-128, 127], dtype=torch.int8),
        "byte": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
    }
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, folder / "legacy.safetensors")


def pattern(size):
    """Two images of whole numbers 0 to 255, [2, size, size, 3]: bands, whose pitch differs by colour and image."""
    image, row, column, colour = np.meshgrid(range(2), range(size), range(size), range(3), indexing="ij")
    return ((row * (3 + image) + column * (5 - 2 * image) + colour * 40 + row * column // 16) % 256).astype(np.float64)


def save_published(folder, files):
    tensors = {}
    for number, ((size, shape), weights) in enumerate(zip(LITES, files, strict=True)):
        network = EfficientNetLite(shape, 1000).double().eval()
        print("published weights, strict:", network.load_state_dict(torch.load(weights, weights_only=True), strict=True))
        images = torch.from_numpy((pattern(size) - 127) / 128).permute(0, 3, 1, 2)
        with torch.no_grad():
            logits = network(images)
        tensors[f"efficientnet_lite{number}"] = logits.float()
        print(f"tops {logits.argmax(1).tolist()}, logits' std {logits.std():.2f}")
    safetensors.torch.save_file(tensors, folder / "published.safetensors", {"torch": torch.__version__})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("weights", nargs="*")
    parsed = arguments.parse_args()
    # Where the search begins: another processor rounds otherwise, and an earlier seed may do there. The tests have been through these.
    save(parsed.folder, "lite", lambda: EfficientNetLite(NARROW, 5), NARROW, 30, 5, 4, first=70)
    save(parsed.folder, "residual", lambda: Residual(5), {}, 45, 5, 4, first=158)
    save(parsed.folder, "basic", lambda: ResNet(BASIC, 5), BASIC, 40, 5, 4, first=2, saturates=False, steps=False)
    save(parsed.folder, "bottleneck", lambda: ResNet(BOTTLENECK, 5), BOTTLENECK, 37, 5, 4, first=11, saturates=False, steps=False)
    save(parsed.folder, "squeeze", lambda: SqueezeNet(NARROW_SQUEEZE, 5), NARROW_SQUEEZE, 38, 5, 4, saturates=False, steps=False)
    save(parsed.folder, "mobile", lambda: MobileNetV2(NARROW_MOBILE, 5), NARROW_MOBILE, 33, 5, 4, first=104, steps=False)
    compare_with_torchvision()
    save_legacy(parsed.folder)
    if parsed.weights:
        save_published(parsed.folder, parsed.weights)
