"""Golden values for the recipe `seed`, computed by PyTorch in float64: seed.json.gz.

usage: python make_seed.py OUTPUT_FOLDER, beside make_network.py and basic.safetensors, whose network and start it takes
needs: torch, torchvision, numpy, pillow, safetensors

Images of few levels, so that they compress, and the order of four epochs, in batches of 3 with a remainder of 2. From one start, 20 steps each:
- freeze: losses while the last layer learns and batch norm is in training mode;
- finetune: losses, their spread in PyTorch's own float32, and the running statistics after 5 steps. The spread is the largest up to a step, over ways
  to compute the same (with and without oneDNN, memory formats, order within a batch): one way alone agrees by chance at some steps.
- crops: SHA-256 of Pillow's crops of the images, stacked, resized bilinearly, rows first (Pillow 13 takes columns first for some boxes); boxes that torchvision's RandomResizedCrop falls back to, and the
  share of an image of 341 × 256 that its boxes have on average.
The rate falls every two epochs here instead of every ten, so that 20 steps see it fall.
"""
import base64
import gzip
import hashlib
import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms import RandomResizedCrop

from make_network import BASIC, ResNet

torch.set_num_threads(1)
IMAGES, SIZE, BATCH, CLASSES, EPOCHS, STEPS = 14, 16, 3, 5, 4, 20
RECIPE = {"learningRate": 1e-3, "momentum": 0.9, "decayEpochs": 2, "decayFactor": 0.1}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def batches(order):
    return [epoch[at:at + BATCH] for epoch in order for at in range(0, IMAGES, BATCH)]


def run(start, pixels, labels, order, strategy, dtype=torch.float64, channels_last=False, backwards=False):
    """Losses of every step, and the state after five."""
    network = ResNet(BASIC, CLASSES)
    network.load_state_dict(start, strict=False)  # not the counters of batch norm
    network = network.to(dtype)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
    if strategy == "freeze":
        for parameter in network.parameters():
            parameter.requires_grad = False
        for parameter in network.fc.parameters():
            parameter.requires_grad = True
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=RECIPE["learningRate"], momentum=RECIPE["momentum"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, RECIPE["decayEpochs"], RECIPE["decayFactor"])
    images = ((pixels.to(dtype) / 255 - MEAN.to(dtype)) / STD.to(dtype)).permute(0, 3, 1, 2)
    losses, state = [], None
    for step, batch in enumerate(batches(order)):
        batch = list(reversed(batch)) if backwards else batch
        x = images[batch]
        x = x.contiguous(memory_format=torch.channels_last) if channels_last else x.contiguous()
        loss = F.cross_entropy(network(x), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step + 1 == 5:
            state = {name: [float("%.8g" % value) for value in tensor.double().tolist()] for name, tensor in network.state_dict().items() if "running" in name}
        if (step + 1) % (STEPS // EPOCHS) == 0:
            schedule.step()
    assert len(losses) == STEPS
    return losses, state


def own_spread(exact, *args):
    """The largest relative difference of PyTorch's float32 losses up to each step."""
    spread = np.zeros(STEPS)
    for onednn in (True, False):
        for channels_last in (True, False):
            for backwards in (True, False):
                with torch.backends.mkldnn.flags(enabled=onednn):
                    losses, _ = run(*args, dtype=torch.float32, channels_last=channels_last, backwards=backwards)
                spread = np.maximum(spread, np.abs(np.array(losses) - exact) / np.abs(exact))
    return [float("%.2g" % value) for value in np.maximum.accumulate(spread)]


def crops(pixels):
    stack = Image.fromarray(pixels.reshape(IMAGES * SIZE, SIZE, 3).numpy())
    boxes = [(0, 0, 16, 224), (3, 5, 7, 9), (0, 100, 16, 16), (10, 50, 1, 1), (2, 0, 13, 31), (1, 7, 12, 200)]
    made = []
    for left, top, width, height in boxes:
        resized = stack.crop((left, top, left + width, top + height)).resize((SIZE, height), Image.Resampling.BILINEAR).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        made.append({"box": {"left": left, "top": top, "width": width, "height": height}, "sha256": hashlib.sha256(resized.tobytes()).hexdigest()})
    fallback = []
    for width, height in ((1000, 10), (10, 1000), (341, 256), (7, 3)):
        # An area above the image's never fits.
        top, left, h, w = RandomResizedCrop.get_params(torch.zeros(3, height, width), (4.0, 4.0), (3 / 4, 4 / 3))
        fallback.append({"width": width, "height": height, "box": {"left": left, "top": top, "width": w, "height": h}})
    shares, image = [], torch.zeros(3, 256, 341)
    for _ in range(20_000):
        _, _, h, w = RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
        shares.append(h * w / (256 * 341))
    return made, fallback, {"mean": float(np.mean(shares)), "deviation": float(np.std(shares)), "draws": len(shares)}


def main():
    folder = pathlib.Path(__file__).parent
    tensors = safetensors.torch.load_file(folder / "basic.safetensors")
    start = {name.removeprefix("start/"): tensor for name, tensor in tensors.items() if name.startswith("start/")}
    generator = torch.Generator().manual_seed(3)
    pixels = (torch.randint(0, 4, (IMAGES, SIZE, SIZE, 3), generator=generator) * 84).to(torch.uint8)
    labels = torch.arange(IMAGES) % CLASSES
    order = [torch.randperm(IMAGES, generator=generator).tolist() for _ in range(EPOCHS)]
    args = (start, pixels, labels, order)
    freeze, freeze_state = run(*args, "freeze")
    finetune, finetune_state = run(*args, "finetune")
    torch.manual_seed(4)
    made, fallback, share = crops(pixels)
    golden = {
        "torch": torch.__version__, "size": SIZE, "batch": BATCH, "classes": CLASSES, "recipe": RECIPE, "order": order, "labels": labels.tolist(),
        "pixels": base64.b64encode(pixels.numpy().tobytes()).decode(),
        "freeze": {"losses": freeze, "statistics": freeze_state},
        "finetune": {"losses": finetune, "statistics": finetune_state, "spread": own_spread(np.array(finetune), *args, "finetune")},
        "crops": made, "fallback": fallback, "share": share,
    }
    print("spread", ["%.1e" % value for value in golden["finetune"]["spread"]])
    print("losses", freeze[:3], finetune[:3], finetune[-3:])
    target = pathlib.Path(sys.argv[1]) / "seed.json.gz"
    target.write_bytes(gzip.compress(json.dumps(golden).encode(), 9, mtime=0))
    print(target, target.stat().st_size, "bytes")


main()
