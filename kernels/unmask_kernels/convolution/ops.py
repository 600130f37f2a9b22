"""Gated short convolutions (LFM2, Liquid AI, 2025), whose inputs are kept in pages as keys are.

A row reads the inputs of the positions before it from their slots, whether they are rows of this
step or of an earlier one, so chunks of a prompt, cached prefixes and open blocks need no state.
"""

import torch
from torch import Tensor

from unmask_kernels.dispatch import uses_triton


def short_convolution(
    projected: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    states: Tensor,
    slots: Tensor,
    earlier: Tensor,
    positions: Tensor,
) -> Tensor:
    """Rows [T, C] of c * conv(b * x), where `projected` [T, 3 C] has b, c and x side by side.

    The depthwise convolution has `weight` [K, C], the last of which is of a row's own position,
    and a `bias` [C]. The inputs b * x are written to the `slots` [T] of the pages `states`
    [N, page, C], and those of the K - 1 positions before are read from `earlier` [T, K - 1], the
    farthest first. Positions before the first, as `positions` [T] tell, count as zeros.
    """
    num_taps, num_columns = weight.shape
    if projected.shape[1:] != (3 * num_columns,) or states.shape[2:] != (num_columns,):
        raise ValueError(
            f"rows {tuple(projected.shape)} and states {tuple(states.shape)} do not fit "
            f"{num_columns} channels"
        )
    if earlier.shape != (len(projected), num_taps - 1):
        raise ValueError(f"slots {tuple(earlier.shape)} do not fit a kernel of {num_taps}")
    if uses_triton(projected.device):
        from unmask_kernels.convolution import gpu

        return gpu.short_convolution(projected, weight, bias, states, slots, earlier, positions)
    before, gate, x = projected.chunk(3, -1)
    inputs = before * x
    flat = states.view(-1, num_columns)
    flat.index_copy_(0, slots, inputs)
    total = inputs.float() * weight[-1].float()
    for tap in range(num_taps - 1):
        is_there = positions >= num_taps - 1 - tap
        taken = flat.index_select(0, earlier[:, tap]).float() * weight[tap].float()
        total += torch.where(is_there[:, None], taken, 0.0)
    if bias is not None:
        total += bias.float()
    return gate * total.to(projected.dtype)


def centred_convolution(
    projected: Tensor, weight: Tensor, bias: Tensor | None, positions: Tensor
) -> Tensor:
    """Rows [T, C] of c * conv(b * x) that see positions to both sides; see `short_convolution`.

    The convolution has an odd number of weights [K, C], the middle one of a row's own position.
    Rows of a sequence are all there and in a row, as `positions` [T] tell; none of another sequence
    counts on. Positions that are not there count as zeros.
    """
    num_taps, num_columns = weight.shape
    if num_taps % 2 == 0 or projected.shape[1:] != (3 * num_columns,):
        raise ValueError(f"rows {tuple(projected.shape)} do not fit a kernel of {num_taps}")
    if uses_triton(projected.device):
        from unmask_kernels.convolution import gpu

        return gpu.centred_convolution(projected, weight, bias, positions)
    before, gate, x = projected.chunk(3, -1)
    inputs, reach = (before * x).float(), num_taps // 2
    total = inputs * weight[reach].float()
    for offset in range(1, reach + 1):
        follows = (positions[offset:] - positions[:-offset] == offset)[:, None]
        earlier = inputs[:-offset] * weight[reach - offset].float()
        later = inputs[offset:] * weight[reach + offset].float()
        total[offset:] += torch.where(follows, earlier, 0.0)
        total[:-offset] += torch.where(follows, later, 0.0)
    if bias is not None:
        total += bias.float()
    return gate * total.to(projected.dtype)
