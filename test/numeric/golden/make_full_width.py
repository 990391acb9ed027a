"""Makes what fullWidth.test.ts reads: every network at full width, by torchvision (the lite ones by the plain definition beside this), with
weights as `randomise` draws them, and what PyTorch makes of two images in float64. Some 250 MB: made anew each time, never committed.

usage: python3 make_full_width.py FOLDER   (PyTorch 2.x, torchvision, safetensors)
"""
import pathlib
import sys

import safetensors.torch
import torch
from torchvision import models

from make_network import LITES, EfficientNetLite, features_of, randomise

folder = pathlib.Path(sys.argv[1])
networks = {name: (224, getattr(models, name)(weights=None)) for name in ("resnet18", "resnet34", "resnet50", "mobilenet_v2", "squeezenet1_1")}
networks |= {f"efficientnet_lite{number}": (size, EfficientNetLite(shape, 1000)) for number, (size, shape) in enumerate(LITES)}
for seed, (name, (size, network)) in enumerate(networks.items()):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((2, 3, size, size), generator=generator)
    randomise(network, images, generator)
    torch.save(network.state_dict(), folder / f"{name}.pth")
    exact = network.double().eval()
    with torch.no_grad():
        logits = exact(images.double())
    values = {"images": images.permute(0, 2, 3, 1), "logits": logits.float(), "features": features_of(exact, images.double()).float()}
    safetensors.torch.save_file({key: value.contiguous() for key, value in values.items()}, folder / f"{name}.safetensors")
    print(f"{name}: logits' std {logits.std():.2f}", flush=True)
