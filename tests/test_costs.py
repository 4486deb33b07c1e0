"""What models cost and what proxies tell, against numbers counted by hand."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from search.costs import milliseconds, multiply_adds, peak_memory
from search.inheritance import inherit
from search.proxies import (
    LinearReading,
    Reading,
    gradient_norm,
    jacobian_covariance,
    synaptic_flow,
    waken,
)

torch.set_num_threads(1)


def counted(layer, *inputs):
    with torch.no_grad():
        return multiply_adds(lambda: layer(*inputs))


def test_multiply_adds_of_a_perceptron():
    layers = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    assert counted(layers, torch.randn(4, 5)) == 4 * (5 * 7 + 7 * 3)
    assert multiply_adds(lambda: layers(torch.randn(4, 5))) == 4 * (5 * 7 + 7 * 3)
    # What has no products costs none.
    assert counted(nn.Embedding(9, 4), torch.zeros(2, dtype=torch.long)) == 0


@pytest.mark.parametrize("length", [1, 6])
def test_multiply_adds_of_attention(length):
    queries, keys = torch.randn(2, 3, length, 4), torch.randn(2, 3, 6, 4)
    found = counted(functional.scaled_dot_product_attention, queries, keys, keys)
    assert found == 2 * 3 * length * 6 * 4 * 2


def test_multiply_adds_of_convolutions():
    images = torch.randn(2, 3, 5, 7)
    assert counted(nn.Conv2d(3, 6, 3, padding=1), images) == 2 * 5 * 7 * 6 * 3 * 9
    # Every cell is spread over all of the kernel.
    assert counted(nn.ConvTranspose2d(3, 6, 4, stride=2, padding=1), images) == 2 * 5 * 7 * 6 * 3 * 16


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("learning", [False, True])
def test_multiply_adds_of_recurrent_layers(kind, gates, learning):
    layers = kind(5, 8, 2, batch_first=True)
    with torch.set_grad_enabled(learning):
        found = multiply_adds(lambda: layers(torch.randn(3, 6, 5)))
    assert found == 3 * 6 * gates * 8 * ((5 + 8) + (8 + 8))


def test_memory_is_what_is_alive_at_one_time():
    def run():
        first = torch.zeros(1000)
        second = torch.zeros(500)
        del first
        # Views are no memory, and keep what they look at.
        view = second[:10].view(2, 5)
        del second
        third = torch.zeros(600)
        return view, third

    assert peak_memory(run) == 4 * (1000 + 500)
    kept = torch.zeros(250)
    assert peak_memory(run, [kept, kept[:3]]) == 4 * (250 + 1000 + 500)
    assert peak_memory(lambda: None, [kept]) == 1000


def test_memory_of_a_layer():
    layer = nn.Linear(10, 20)
    with torch.no_grad():
        found = peak_memory(lambda: layer(torch.zeros(3, 10)).relu(), layer.parameters())
    # Weights and biases; then inputs and outputs, and after that two generations of outputs, which is more.
    assert found == 4 * (220 + max(30 + 60, 60 + 60))


def test_time_is_the_processors():
    def work():
        began = time.process_time()
        while time.process_time() - began < 0.02:
            pass

    assert 19 < milliseconds(work) < 40
    # What only waits has had nothing of the processor.
    assert milliseconds(lambda: time.sleep(0.05)) < 10


# Proxies.


class Two(nn.Module):
    """Two matrices, one after the other."""

    def __init__(self, first, second):
        super().__init__()
        self.first, self.second = nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor(first))
            self.second.weight.copy_(torch.tensor(second))

    def forward(self, inputs):
        return self.second(self.first(inputs))


FIRST, SECOND = [[1.0, -2.0, 0.0], [0.0, 3.0, 1.0]], [[1.0, 1.0], [-1.0, 2.0]]


def test_gradient_norms_by_hand():
    network = Two(FIRST, SECOND)
    inputs = torch.tensor([[1.0, 1.0, 1.0]])
    # Hidden (-1, 4): the sum's slope is that at each row of the second matrix, and at the first (0, 3) times ones.
    expected = math.sqrt(2 * (1 + 16)) + math.sqrt(3 * 9)
    assert gradient_norm(network, lambda: network(inputs).sum()) == pytest.approx(expected)


def test_synaptic_flow_by_hand():
    network = Two(FIRST, SECOND)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    # Absolute values: hidden (3, 4), outputs (7, 11); each matrix carries the whole flow of 18.
    found = synaptic_flow(network, lambda: network(torch.ones(1, 3, dtype=torch.float64)))
    assert found == pytest.approx(math.log(2 * 18))
    for name, weight in network.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, before[name])


def test_synaptic_flow_passes_through_what_is_not_linear():
    network = Two(FIRST, SECOND)
    plain = synaptic_flow(network, lambda: network(torch.ones(1, 3, dtype=torch.float64)))

    def bent():
        with LinearReading() as reading:
            codes = functional.one_hot(torch.tensor([[2]]), 3).flatten(1).float()
            hidden = torch.tanh(functional.gelu(network.first(codes)))
            gated = hidden * torch.sigmoid(hidden - 5)
            normal = functional.layer_norm(gated, (2,))
            # Of equal rows attention returns each.
            attended = functional.scaled_dot_product_attention(normal[None], normal[None], normal[None])[0]
            network.second(attended).softmax(dim=1)
        return reading.output

    assert synaptic_flow(network, bent) == pytest.approx(plain)
    squared = Two(FIRST, SECOND)

    def square():
        with LinearReading() as reading:
            hidden = functional.relu(squared.first(torch.ones(1, 3, dtype=torch.float64)))
            squared.second(hidden * hidden)
        return reading.output

    assert synaptic_flow(squared, square) == pytest.approx(plain)
    assert math.isnan(synaptic_flow(nn.ModuleList([nn.LSTM(3, 3)]), lambda: None))


def test_jacobians_of_inputs_that_have_nothing_in_common_score_highest():
    k = 1e-5
    inputs = torch.zeros(2, 4, requires_grad=True)
    directions = torch.tensor([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    apart = jacobian_covariance([inputs], (inputs * directions).sum(dim=1), 2)
    assert apart == pytest.approx(-2 * (math.log(1 + k) + 1 / (1 + k)))
    # Slopes that are the same leave one eigenvalue of 2 and one of 0.
    alike = jacobian_covariance([inputs], (inputs * directions[:1]).sum(dim=1), 2)
    assert alike == pytest.approx(-(math.log(2 + k) + 1 / (2 + k) + math.log(k) + 1 / k), rel=1e-3)
    assert apart > alike
    assert math.isnan(jacobian_covariance([inputs], torch.zeros(2), 2))
    assert math.isnan(jacobian_covariance([inputs], inputs.sum(dim=1), 3))


def test_reading_finds_inputs_and_output():
    table, layer = nn.Embedding(5, 2), nn.Linear(2 + 5, 3)
    tiles = torch.tensor([[1], [4]])
    with Reading() as reading:
        codes = functional.one_hot(tiles[:, 0], 5).float()
        layer(torch.cat([table(tiles[:, 0]), codes], dim=1)).softmax(dim=1)
    assert [tuple(part.shape) for part in reading.inputs] == [(2, 5), (2, 2)]
    coded, looked_up = torch.autograd.grad(reading.output.sum(), reading.inputs)
    assert torch.allclose(torch.cat([looked_up, coded], dim=1), layer.weight.sum(dim=0).expand(2, -1))


def test_layers_that_begin_at_zero_are_woken():
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    nn.init.zeros_(network[1].weight)
    kept = network[0].weight.clone()
    waken(network, 1)
    first = network[1].weight.clone()
    assert torch.equal(network[0].weight, kept)
    assert first.abs().min() > 0
    nn.init.zeros_(network[1].weight)
    waken(network, 1)
    assert torch.equal(network[1].weight, first)


# Inheritance.


def test_what_fits_is_inherited():
    parent, child = nn.Linear(3, 2), nn.Linear(4, 3)
    kept = child.weight.clone()
    arrays = {name: weight.numpy() for name, weight in parent.state_dict().items()}
    share = inherit(child, arrays)
    assert torch.equal(child.weight[:2, :3], parent.weight)
    assert torch.equal(child.weight[2:], kept[2:])
    assert torch.equal(child.bias[:2], parent.bias)
    assert share == pytest.approx((6 + 2) / (12 + 3))
    # Smaller than the parent, another number of axes, other names, and names that are the child's own.
    assert inherit(nn.Linear(2, 1), arrays) == 1.0
    assert inherit(nn.Conv2d(2, 2, 1, bias=False), arrays) == 0.0
    assert inherit(nn.Sequential(nn.Linear(3, 2)), arrays) == 0.0
    assert inherit(nn.Linear(3, 2), arrays, own={"weight"}) == 1.0


def test_whole_numbers_are_inherited_whole_or_not():
    norm = nn.BatchNorm1d(3)
    arrays = {name: weight.numpy().copy() for name, weight in norm.state_dict().items()}
    arrays["num_batches_tracked"] = np.array(7)
    assert inherit(norm, arrays) == 1.0
    assert int(norm.num_batches_tracked) == 7
    norm.register_buffer("places", torch.arange(4))
    inherit(norm, {"places": np.arange(3) + 5})
    assert norm.places.tolist() == [0, 1, 2, 3]
