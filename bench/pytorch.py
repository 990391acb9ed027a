"""PyTorch's side of the benchmark, the same work as Thaw's. Prints one JSON line.

    pytorch.py forward|step|step-batch NAME WEIGHTS PIXELS.bin      pixels in memory, batch 16, median of 12 after 3
    step: batch norm by its running statistics, as Thaw's finetune recipe has it; step-batch: by those of the batch
    pytorch.py freeze NAME WEIGHTS FOLDER EPOCHS                   train/ and val/ from files: frozen backbone every epoch, two loader workers
    pytorch.py calibrated NAME FILE                                weights for a network whose published ones are not at hand: random, with batch
                                                                   norm's statistics and logits as large as a trained network's
"""
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "test" / "numeric" / "golden"))
from make_network import LITES, EfficientNetLite, head_of, randomise

BATCH, WARM_UP, MEASURED = 16, 3, 12
torch.set_num_threads(2)


class Kind:
    """A network by name, and how images are prepared for it."""

    def __init__(self, name):
        self.name = name
        self.lite = name.startswith("efficientnet_lite")
        if self.lite:
            self.crop, self.shape = LITES[int(name[-1])]
            self.short, self.mean, self.std = self.crop + 32, [127.0] * 3, [128.0] * 3
        else:
            self.crop, self.short = 224, 256
            self.mean, self.std = [255 * v for v in (0.485, 0.456, 0.406)], [255 * v for v in (0.229, 0.224, 0.225)]

    def make(self):
        if self.lite:
            return EfficientNetLite(self.shape, 1000)
        from torchvision import models
        return getattr(models, self.name)(weights=None)

    def pretrained(self, weights, classes=None):
        network = self.make()
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=True)
        if classes is not None:
            self.replace_head(network, classes)
        return network.to(memory_format=torch.channels_last)

    @staticmethod
    def replace_head(network, classes):
        old = head_of(network)
        new = nn.Linear(old.in_features, classes) if isinstance(old, nn.Linear) else nn.Conv2d(old.in_channels, classes, 1)
        path = next(path for path, module in network.named_modules() if module is old).split(".")
        parent = network.get_submodule(".".join(path[:-1]))
        setattr(parent, path[-1], new)
        return new

    def normalised(self, pixels):
        x = (pixels.permute(0, 3, 1, 2).float() - torch.tensor(self.mean).view(1, 3, 1, 1)) / torch.tensor(self.std).view(1, 3, 1, 1)
        return x.contiguous(memory_format=torch.channels_last)

    def batches(self, file):
        """Bytes `[16, crop, crop, 3]` each, as decoded images are."""
        margin = (self.short - self.crop) // 2
        pixels = np.fromfile(file, np.uint8).reshape(-1, self.short, self.short, 3)[:, margin:margin + self.crop, margin:margin + self.crop]
        return torch.from_numpy(pixels.copy()).split(BATCH)


def report(mode, seconds):
    print(json.dumps({"mode": mode, "imagesPerSecond": BATCH / sorted(seconds)[len(seconds) // 2], "torch": torch.__version__}))


def forward(name, weights, file):
    kind = Kind(name)
    model, seconds = kind.pretrained(weights).eval(), []
    x = kind.normalised(kind.batches(file)[0])
    with torch.inference_mode():
        for run in range(WARM_UP + MEASURED):
            began = time.perf_counter()
            model(x)
            if run >= WARM_UP:
                seconds.append(time.perf_counter() - began)
    report("forward", seconds)


def step(name, weights, file, statistics="frozen"):
    kind = Kind(name)
    model, seconds = kind.pretrained(weights, classes=2).train(), []
    if statistics == "frozen":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    inputs, labels = kind.batches(file), torch.arange(BATCH) % 2
    for run in range(WARM_UP + MEASURED):
        began = time.perf_counter()
        loss = nn.functional.cross_entropy(model(kind.normalised(inputs[run % len(inputs)])), labels)  # from bytes, as Thaw's step
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    report("step" if statistics == "frozen" else "step-batch", seconds)


class Folder(torch.utils.data.Dataset):
    def __init__(self, kind, root):
        self.kind = kind
        self.classes = sorted(os.listdir(root))
        self.items = [(os.path.join(root, c, f), i) for i, c in enumerate(self.classes) for f in sorted(os.listdir(os.path.join(root, c)))]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        from PIL import Image
        path, label = self.items[index]
        short, crop = self.kind.short, self.kind.crop
        image = Image.open(path).convert("RGB")
        width, height = image.size
        scale = short / min(width, height)
        image = image.resize((max(short, int(width * scale)), max(short, int(height * scale))), Image.BICUBIC if self.kind.lite else Image.BILINEAR)
        left, top = (image.width - crop) // 2, (image.height - crop) // 2
        return torch.from_numpy(np.asarray(image.crop((left, top, left + crop, top + crop))).copy()), label


def freeze(name, weights, root, epochs):
    began = time.perf_counter()
    kind = Kind(name)
    model = kind.pretrained(weights, classes=2)
    head = head_of(model)
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in head.parameters():
        parameter.requires_grad = True
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-2, momentum=0.9)
    sets = {split: torch.utils.data.DataLoader(Folder(kind, os.path.join(root, split)), BATCH, shuffle=split == "train", num_workers=2) for split in ("train", "val")}
    best = 0.0
    model.eval()
    for _ in range(int(epochs)):
        for x, y in sets["train"]:
            # No tensor before the head asks for a gradient: the backbone runs without one.
            loss = nn.functional.cross_entropy(model(kind.normalised(x)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = total = 0
        with torch.inference_mode():
            for x, y in sets["val"]:
                right += (model(kind.normalised(x)).argmax(1) == y).sum().item()
                total += len(y)
        best = max(best, right / total)
    print(json.dumps({"mode": "freeze", "seconds": time.perf_counter() - began, "accuracy": best, "torch": torch.__version__}))


def calibrated(name, file):
    kind = Kind(name)
    network = kind.make()
    generator = torch.Generator().manual_seed(0)
    randomise(network, torch.randn((2, 3, kind.crop, kind.crop), generator=generator), generator)
    torch.save(network.state_dict(), file)
    print(json.dumps({"mode": "calibrated", "file": file}))


modes = {"forward": forward, "step": step, "step-batch": lambda *of: step(*of, statistics="batch"), "freeze": freeze, "calibrated": calibrated}
modes[sys.argv[1]](*sys.argv[2:])
