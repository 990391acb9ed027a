"""Makes adamw.json: parameters after each step of torch.optim.AdamW in float64, at a rate that changes.

usage: python3 make_adamw.py   (PyTorch 2.x; writes beside itself)
"""
import json
from pathlib import Path

import torch

torch.set_default_dtype(torch.float64)
generator = torch.Generator().manual_seed(7)
SHAPE, STEPS = (4, 3), 12


def random(scale):
    return (torch.randn(*SHAPE, generator=generator) * scale).float().double()


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def case(beta1, beta2, epsilon, weight_decay):
    parameter = torch.nn.Parameter(random(1.0))
    start = numbers(parameter)
    optimizer = torch.optim.AdamW([parameter], lr=1.0, betas=(beta1, beta2), eps=epsilon, weight_decay=weight_decay)
    steps = []
    for step in range(STEPS):
        gradient, rate = random(10.0 ** (step % 4 - 3)), 0.1 / (step + 1)
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = gradient
        optimizer.step()
        steps.append({"rate": rate, "gradient": numbers(gradient), "value": numbers(parameter)})
    return {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weightDecay": weight_decay, "start": start, "steps": steps}


golden = {"shape": SHAPE, "cases": [case(0.9, 0.999, 1e-8, 0.0), case(0.9, 0.999, 1e-8, 0.05), case(0.5, 0.9, 1e-3, 0.3)]}
Path(__file__).with_name("adamw.json").write_text(json.dumps(golden) + "\n")
