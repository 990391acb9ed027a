// Random starts against the distributions that each network's package documents, and, where there is a PyTorch, against what torchvision draws.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ARCHITECTURES, graphFor } from '../../src/network/architectures.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { initialState } from '../../src/network/initialisation.js';
import { SeededRandom } from '../../src/training/random.js';
import { pythonWith, runPython } from '../harness/python.js';

const CLASSES = 40;

interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly deviation: number;
  /** Fourth standardised moment: 3 of a normal distribution, 1.8 of a uniform one. */
  readonly kurtosis: number;
  readonly largest: number;
}

function momentsOf(data: Float32Array): Moments {
  const count = data.length;
  const mean = data.reduce((sum, value) => sum + value, 0) / count;
  const central = (power: number): number => data.reduce((sum, value) => sum + (value - mean) ** power, 0) / count;
  const variance = central(2);
  return { count, mean, deviation: Math.sqrt(variance), kurtosis: variance === 0 ? 0 : central(4) / variance ** 2, largest: data.reduce((most, value) => Math.max(most, Math.abs(value)), 0) };
}

/** Standard errors: of a deviation √((kurtosis − 1) / 4n), of a mean 1/√n, of the kurtosis √(24/n), all relative to the deviation; five of them. */
function assertDrawn(moments: Moments, deviation: number, kind: 'normal' | 'uniform', what: string): void {
  const { count, mean, largest } = moments;
  const kurtosis = kind === 'normal' ? 3 : 1.8;
  assert.ok(Math.abs(moments.deviation / deviation - 1) <= 5 * Math.sqrt((kurtosis - 1) / (4 * count)), `${what}: deviation ${String(moments.deviation)}, not ${String(deviation)}`);
  assert.ok(Math.abs(mean) <= 5 * deviation / Math.sqrt(count), `${what}: mean ${String(mean)}`);
  if (count > 1000) assert.ok(Math.abs(moments.kurtosis - kurtosis) <= 5 * Math.sqrt(24 / count), `${what}: kurtosis ${String(moments.kurtosis)}, not ${String(kurtosis)}`);
  if (kind === 'uniform') assert.ok(largest <= deviation * Math.sqrt(3) * (1 + 1e-6), `${what}: ${String(largest)} lies outside`);
}

for (const name of ARCHITECTURES) {
  test(`${name}: every tensor is drawn as its package draws it`, () => {
    const graph = graphFor(name, CLASSES);
    const state = initialState(graph, new SeededRandom(1, 'test'));
    for (const { name: tensor, shape, role, node } of parameterSpecs(graph)) {
      const data = state.get(tensor)?.data;
      assert.ok(data instanceof Float32Array, tensor);
      assert.deepEqual(state.get(tensor)?.shape, [...shape]);
      const [outputs = 1, ...rest] = shape;
      const fanIn = rest.reduce((product, size) => product * size, 1);
      const kernel = rest.slice(1).reduce((product, size) => product * size, 1);
      const constant = (value: number): void => { assert.ok(data.every((each) => each === value), tensor); };
      const head = node === graph.head;
      if (role === 'scale' || role === 'variance') constant(1);
      else if (role === 'offset' || role === 'mean') constant(0);
      else if (name.startsWith('resnet') || name.startsWith('efficientnet')) {
        // torchvision's resnet.py: kaiming_normal_(mode='fan_out'). efficientnet_lite_pytorch's model.py leaves nn.Conv2d's and nn.Linear's default:
        // kaiming_uniform_(a=√5), which is uniform in ±1/√fan_in, and so the bias, by the weight's fan_in.
        if (name.startsWith('resnet') && !head) assertDrawn(momentsOf(data), Math.sqrt(2 / (outputs * kernel)), 'normal', tensor);
        else assertDrawn(momentsOf(data), 1 / Math.sqrt(3 * (role === 'bias' ? graph.featureCount : fanIn)), 'uniform', tensor);
      } else if (role === 'bias') {
        constant(head && name === 'squeezenet1_1' ? 1 : 0); // mobilenetv2.py and squeezenet.py: zeros_, constant_(0); but a rectified head begins alive
      } else if (head) {
        assertDrawn(momentsOf(data), 0.01, 'normal', tensor); // both: normal_(0, 0.01)
      } else if (name === 'mobilenet_v2') {
        assertDrawn(momentsOf(data), Math.sqrt(2 / (outputs * kernel)), 'normal', tensor); // kaiming_normal_(mode='fan_out')
      } else {
        assertDrawn(momentsOf(data), Math.sqrt(2 / fanIn), 'uniform', tensor); // kaiming_uniform_: ±√(6 / fan_in)
      }
    }
  });
}

test('a seed gives one start, another seed another', () => {
  const graph = graphFor('squeezenet1_1', 3);
  const start = (seed: number): unknown => [...initialState(graph, new SeededRandom(seed, 'start')).values()].map(({ data }) => data.slice(0, 50));
  assert.deepEqual(start(1), start(1));
  assert.notDeepEqual(start(1), start(2));
});

const python = pythonWith('torch', 'torchvision');
test('torchvision draws its networks from the same distributions', { skip: python === undefined && 'no Python with torchvision: name one in THAW_TEST_PYTHON' }, async () => {
  const names = ARCHITECTURES.filter((name) => !name.startsWith('efficientnet'));
  const drawn = await runPython(python ?? '', `
import json, sys, torch, torchvision
torch.manual_seed(0)
def moments(t):
    t = t.double().flatten(); c = t - t.mean(); v = (c ** 2).mean()
    return [t.numel(), t.mean().item(), v.sqrt().item(), ((c ** 4).mean() / v ** 2).item() if v > 0 else 0.0]
def network(name):
    state = getattr(torchvision.models, name)(weights=None, num_classes=int(sys.argv[1])).state_dict()
    return {tensor: moments(t) for tensor, t in state.items() if not tensor.endswith('num_batches_tracked')}
print(json.dumps({name: network(name) for name in sys.argv[2:]}))
`, [String(CLASSES), ...names]) as Record<string, Record<string, [number, number, number, number]>>;
  for (const name of names) {
    const state = initialState(graphFor(name, CLASSES), new SeededRandom(2, 'test'));
    const theirs = drawn[name] ?? {};
    assert.deepEqual([...state.keys()].sort(), Object.keys(theirs).sort());
    for (const [tensor, { data }] of state) {
      assert.ok(data instanceof Float32Array);
      const [ours, [count, mean, deviation, kurtosis]] = [momentsOf(data), theirs[tensor] ?? [0, 0, 0, 0]];
      const what = `${name} ${tensor}`;
      assert.equal(ours.count, count, what);
      if (deviation === 0) {
        assert.deepEqual([ours.mean, ours.deviation], [what === 'squeezenet1_1 classifier.1.bias' ? 1 : mean, 0], what); // ours begins alive
        continue;
      }
      // Two samples: their differences are √2 times as uncertain.
      assert.ok(Math.abs(ours.deviation / deviation - 1) <= 5 * Math.sqrt(2 * 2 / (4 * count)), `${what}: ${String(ours.deviation)}, torchvision ${String(deviation)}`);
      if (count > 1000) assert.ok(Math.abs(ours.kurtosis - kurtosis) <= 5 * Math.sqrt(2 * 24 / count), `${what}: ${String(ours.kurtosis)}, torchvision ${String(kurtosis)}`);
    }
  }
});
