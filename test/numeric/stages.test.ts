// Cut points: where they are in the published networks, and that one pass gives what each of them gives alone; the rest of the network, from the
// features on, gives PyTorch's logits.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Tensor4D } from '@tensorflow/tfjs';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { graphFor, type ArchitectureName } from '../../src/network/architectures.js';
import { cutPoints } from '../../src/network/cutPoints.js';
import { foldBatchNorm, inferenceAverages, inferenceForward } from '../../src/network/forward.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { loadParameters } from '../../src/network/parameters.js';
import { headLogits } from '../../src/training/features.js';
import { maximumError, readGolden, type GoldenName } from './goldenNetwork.js';

let engine: Engine;
before(async () => { engine = await loadEngine(); });

/**
 * Stride and channels as the papers' tables and torchvision's modules have them. In inverted residuals a stage ends where the next block has widened
 * it, before its stride: for MobileNetV2 these are the layers from which TensorFlow's segmentation tutorial takes its skips, block_1_expand_relu and on.
 */
const PUBLISHED: Partial<Record<ArchitectureName, readonly string[]>> = {
  resnet18: ['relu 2 64', 'layer1.1.relu 4 64', 'layer2.1.relu 8 128', 'layer3.1.relu 16 256', 'avgpool 32 512'],
  resnet50: ['relu 2 64', 'layer1.2.relu 4 256', 'layer2.3.relu 8 512', 'layer3.5.relu 16 1024', 'avgpool 32 2048'],
  mobilenet_v2: ['features.2.conv.0.2 2 96', 'features.4.conv.0.2 4 144', 'features.7.conv.0.2 8 192', 'features.14.conv.0.2 16 576', 'avgpool 32 1280'],
  efficientnet_lite0: ['_blocks.1._relu0 2 96', '_blocks.3._relu0 4 144', '_blocks.5._relu0 8 240', '_blocks.11._relu0 16 672', '_avg_pooling 32 1280'],
  squeezenet1_1: ['features.1 2 64', 'features.4.concat 4 128', 'features.7.concat 8 256', 'features.12.concat 16 512'],
};

describe('cut points', () => {
  for (const [name, expected] of Object.entries(PUBLISHED)) {
    test(`of ${name}`, () => {
      const graph = graphFor(name as ArchitectureName, 2);
      const parameters = new Map(parameterSpecs(graph).map((spec) => [spec.name, engine.tf.zeros(spec.op === 'conv' || spec.op === 'depthwiseConv' ? layoutOf(spec) : spec.op === 'dense' ? [...spec.shape].reverse() : [...spec.shape])]));
      const folded = foldBatchNorm(engine, graph, parameters);
      assert.deepEqual(cutPoints(graph, folded.steps).map(({ node, stride, channels }) => `${node} ${String(stride)} ${String(channels)}`), expected);
      folded.dispose();
      for (const tensor of parameters.values()) tensor.dispose();
    });
  }
});

/** TensorFlow's layout of a filter or bias, as `loadParameters` gives it. */
function layoutOf({ shape, op }: ReturnType<typeof parameterSpecs>[number]): number[] {
  if (shape.length !== 4) return [...shape];
  const [outputs = 0, inputs = 0, height = 0, width = 0] = shape;
  return op === 'depthwiseConv' ? [height, width, outputs, inputs] : [height, width, inputs, outputs];
}

describe('one pass', () => {
  for (const name of ['basic', 'bottleneck', 'lite', 'mobile', 'squeeze'] satisfies GoldenName[]) {
    test(`gives each cut point's output averaged, and the features lead to PyTorch's logits: ${name}`, () => {
      const golden = readGolden(name);
      const { tf } = engine;
      const { graph } = golden;
      const before = tf.memory().numTensors;
      const parameters = loadParameters(tf, graph, golden.start, { head: 'from-weights' });
      const folded = foldBatchNorm(engine, graph, parameters);
      const x = tf.tensor(golden.images.data, [...golden.images.shape] as Tensor4D['shape']);
      const cuts = cutPoints(graph, folded.steps);
      assert.ok(cuts.length >= 2 && cuts.at(-1)?.node === graph.features);
      const averages = inferenceAverages(engine, graph, folded, x, cuts.map(({ node }) => node));
      for (const [index, { node, stride, channels }] of cuts.entries()) {
        const alone = inferenceForward(engine, graph, folded, x, { until: node });
        const found = averages[index]!;
        assert.deepEqual(found.shape, [golden.images.shape[0], channels], node);
        if (alone.rank === 4) assert.equal(Math.ceil(golden.images.shape[1]! / stride) - alone.shape[1]! <= 1, true, `${node}: ${String(alone.shape)}`);
        const [values, positions] = [alone.dataSync<'float32'>(), alone.rank === 4 ? alone.shape[1]! * alone.shape[2]! : 1];
        for (const image of [0, 1]) {
          for (let channel = 0; channel < channels; channel++) {
            let sum = 0;
            for (let position = 0; position < positions; position++) sum += values[(image * positions + position) * channels + channel]!;
            const expected = sum / positions;
            const actual = found.dataSync<'float32'>()[image * channels + channel]!;
            assert.ok(Math.abs(actual - expected) <= 1e-5 * (1 + Math.abs(expected)), `${node}: ${String(actual)}, ${String(expected)}`);
          }
        }
        alone.dispose();
        found.dispose();
      }
      const features = inferenceForward(engine, graph, folded, x, { until: graph.features });
      assert.ok(maximumError(headLogits(engine, graph, folded, features.dataSync<'float32'>()), golden.value('evaluation/logits')) <= 1e-4);
      for (const tensor of [features, x, ...parameters.values()]) tensor.dispose();
      folded.dispose();
      assert.equal(tf.memory().numTensors, before);
    });
  }
});
