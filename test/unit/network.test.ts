import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publishedEfficientNetLite } from '../../src/network/efficientNetLite.js';
import { INPUT, parameterSpecs } from '../../src/network/graph.js';

void test('EfficientNet-Lite0 has the published size: 4.65 million parameters, 49 batch norms', () => {
  const specs = parameterSpecs(publishedEfficientNetLite('efficientnet_lite0', 1000));
  const count = (chosen: typeof specs): number => chosen.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  assert.equal(count(specs.filter((spec) => spec.trainable)), 4_652_008);
  assert.equal(specs.filter((spec) => spec.role === 'variance').length, 49);
  // 296 tensors of the published file, less 49 counters of batches.
  assert.equal(specs.length, 296 - 49);
});

void test('only the head depends on the number of classes', () => {
  const [many, few] = [parameterSpecs(publishedEfficientNetLite('efficientnet_lite0', 1000)), parameterSpecs(publishedEfficientNetLite('efficientnet_lite0', 2))];
  const changed = few.filter((spec, index) => spec.shape.join() !== many[index]?.shape.join());
  assert.deepEqual(changed.map(({ name, shape }) => ({ name, shape })), [{ name: '_fc.weight', shape: [2, 1280] }, { name: '_fc.bias', shape: [2] }]);
});

void test('nodes have names of their own and come after their inputs', () => {
  const graph = publishedEfficientNetLite('efficientnet_lite0', 10);
  const seen = new Set([INPUT]);
  for (const node of graph.nodes) {
    assert.ok(!seen.has(node.name), node.name);
    for (const input of node.inputs) assert.ok(seen.has(input), `${node.name} reads ${input}`);
    seen.add(node.name);
  }
  assert.equal(graph.nodes.at(-1)?.name, graph.head);
  assert.ok(seen.has(graph.features));
});

void test('parameters carry PyTorch\'s names and layouts', () => {
  const specs = new Map(parameterSpecs(publishedEfficientNetLite('efficientnet_lite0', 1000)).map((spec) => [spec.name, spec]));
  assert.deepEqual(specs.get('_conv_stem.weight')?.shape, [32, 3, 3, 3]);
  assert.deepEqual(specs.get('_blocks.3._depthwise_conv.weight')?.shape, [144, 1, 5, 5]);
  assert.deepEqual(specs.get('_blocks.15._project_conv.weight')?.shape, [320, 1152, 1, 1]);
  assert.equal(specs.get('_bn1.running_var')?.trainable, false);
  assert.equal(specs.has('_blocks.0._expand_conv.weight'), false);
});
