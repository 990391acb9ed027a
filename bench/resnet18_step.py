"""PyTorch's side of `npm run prove:gpu`: training steps of torchvision's ResNet18, as Thaw's proof times them. Prints one JSON line.

    resnet18_step.py cuda|cpu      random pixels, 224 px, batch 16, SGD with momentum, gradients clipped, median of 20 steps after 3
"""
import json
import sys
import time

sys.path.pop(0)  # torchvision looks for a package `pytorch`, and bench/pytorch.py is none
import torch
import torchvision

BATCH, WARM_UP, MEASURED = 16, 3, 20


def main(device):
    if device == "cuda" and not torch.cuda.is_available():
        print(json.dumps({"torch": torch.__version__, "reason": "this PyTorch sees no GPU"}))
        return
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True  # as Thaw's precision `auto`; for convolutions PyTorch's default
    model = torchvision.models.resnet18(num_classes=2).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
    pixels = torch.randint(0, 256, (BATCH, 224, 224, 3), dtype=torch.uint8)
    labels = (torch.arange(BATCH) % 2).to(device)
    mean = torch.tensor([123.675, 116.28, 103.53], device=device)
    deviation = torch.tensor([58.395, 57.12, 57.375], device=device)
    seconds = []
    for run in range(WARM_UP + MEASURED):
        began = time.perf_counter()
        x = ((pixels.to(device).float() - mean) / deviation).permute(0, 3, 1, 2)  # the bytes travel at each step, as Thaw's do
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()
        if run >= WARM_UP:
            seconds.append(time.perf_counter() - began)
    name = torch.cuda.get_device_name(0) if device == "cuda" else "CPU"
    print(json.dumps({"torch": torch.__version__, "device": name, "imagesPerSecond": BATCH / sorted(seconds)[len(seconds) // 2]}))


main(sys.argv[1])
