"""PyTorch's side of the benchmark, the same work as Thaw's. Prints one JSON line.

    pytorch.py forward|step|step-batch WEIGHTS PIXELS.bin      pixels in memory, batch 16, median of 12 after 3
    step: batch norm by its running statistics, as Thaw's finetune recipe has it; step-batch: by those of the batch
    pytorch.py freeze WEIGHTS FOLDER EPOCHS         train/ and val/ from files: frozen backbone every epoch, two loader workers
"""
import json
import os
import sys
import time

import numpy as np
import torch
import torch.nn as nn
from efficientnet_lite0 import pretrained

BATCH, WARM_UP, MEASURED = 16, 3, 12
torch.set_num_threads(2)


def batches(file):
    pixels = torch.from_numpy(np.fromfile(file, np.uint8).reshape(-1, 256, 256, 3)[:, 16:240, 16:240].copy())
    x = ((pixels.permute(0, 3, 1, 2).float() - 127) / 128).contiguous(memory_format=torch.channels_last)
    return [x[i:i + BATCH] for i in range(0, len(x), BATCH)]


def report(mode, seconds):
    print(json.dumps({"mode": mode, "imagesPerSecond": BATCH / sorted(seconds)[len(seconds) // 2], "torch": torch.__version__}))


def forward(weights, file):
    model, seconds = pretrained(weights).eval(), []
    x = batches(file)[0]
    with torch.inference_mode():
        for run in range(WARM_UP + MEASURED):
            began = time.perf_counter()
            model(x)
            if run >= WARM_UP:
                seconds.append(time.perf_counter() - began)
    report("forward", seconds)


def step(weights, file, statistics="frozen"):
    model, seconds = pretrained(weights, classes=2).train(), []
    if statistics == "frozen":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    inputs, labels = batches(file), torch.arange(BATCH) % 2
    for run in range(WARM_UP + MEASURED):
        began = time.perf_counter()
        loss = nn.functional.cross_entropy(model(inputs[run % len(inputs)]), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    report("step" if statistics == "frozen" else "step-batch", seconds)


class Folder(torch.utils.data.Dataset):
    def __init__(self, root):
        self.classes = sorted(os.listdir(root))
        self.items = [(os.path.join(root, c, f), i) for i, c in enumerate(self.classes) for f in sorted(os.listdir(os.path.join(root, c)))]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        from PIL import Image
        path, label = self.items[index]
        image = Image.open(path).convert("RGB")
        width, height = image.size
        scale = 256 / min(width, height)
        image = image.resize((max(256, int(width * scale)), max(256, int(height * scale))), Image.BICUBIC)
        left, top = (image.width - 224) // 2, (image.height - 224) // 2
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1), label


def freeze(weights, root, epochs):
    began = time.perf_counter()
    model = pretrained(weights, classes=2)
    for parameter in model.parameters():
        parameter.requires_grad = False
    head = model._fc = nn.Linear(1280, 2)
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-2, momentum=0.9)
    sets = {name: torch.utils.data.DataLoader(Folder(os.path.join(root, name)), BATCH, shuffle=name == "train", num_workers=2) for name in ("train", "val")}
    best = 0.0
    for _ in range(int(epochs)):
        model.eval()
        for x, y in sets["train"]:
            with torch.no_grad():
                features = model.features(x.contiguous(memory_format=torch.channels_last))
            loss = nn.functional.cross_entropy(head(features), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        right = total = 0
        with torch.inference_mode():
            for x, y in sets["val"]:
                right += (model(x.contiguous(memory_format=torch.channels_last)).argmax(1) == y).sum().item()
                total += len(y)
        best = max(best, right / total)
    print(json.dumps({"mode": "freeze", "seconds": time.perf_counter() - began, "accuracy": best, "torch": torch.__version__}))


{"forward": forward, "step": step, "step-batch": lambda *of: step(*of, statistics="batch"), "freeze": freeze}[sys.argv[1]](*sys.argv[2:])
