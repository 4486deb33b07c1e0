"""The devices that torch can use."""

from __future__ import annotations

import torch

from envs import UserError


def check_device(name: str) -> str:
    """Returns the name of a device that torch can use here.

    Raises:
        UserError: it cannot.
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        found = torch.cuda.device_count()
        cuda = f"and cuda:0 to cuda:{found - 1}" if found else "for it finds no CUDA device"
        raise UserError(f"torch cannot use the device {name!r} here: choose cpu, {cuda}.") from error
    return name
