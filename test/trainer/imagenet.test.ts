// The published weights on real images: fetched, read, folded and run as the product does it.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Tensor } from '@tensorflow/tfjs';
import { decodeImage } from '../../src/dataset/decode.js';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { publishedEfficientNetLite } from '../../src/network/efficientNetLite.js';
import { foldBatchNorm, inferenceForward, normalise, trainingForward, type FoldedParameters } from '../../src/network/forward.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { loadParameters, toStateDict, type Parameters } from '../../src/network/parameters.js';
import { readPyTorchFile } from '../../src/network/weights/pytorchFile.js';
import { findWeights } from '../../src/network/weights/cache.js';
import { provideWeights } from '../../src/network/weights/provide.js';
import { readSafetensors, writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict, StoredTensor } from '../../src/network/weights/stateDict.js';
import { ThawError } from '../../src/protocol/errors.js';
import type { BackboneName } from '../../src/protocol/run.js';
import { loadBackbone } from '../../src/trainer/backbone.js';
import { maximumError } from '../numeric/goldenNetwork.js';

const graph = publishedEfficientNetLite('efficientnet_lite0', 1000);
const photographs = path.resolve('..', 'shared', 'data', 'hymenoptera', 'val');
const published = path.resolve('test', 'numeric', 'golden', 'published.safetensors');

let engine: Engine;
let state: StateDict;
let parameters: Parameters;
let folded: FoldedParameters;

before(async () => {
  engine = await loadEngine();
  const weights = await provideWeights('efficientnet_lite0');
  state = await readPyTorchFile(await readFile(weights.path));
  parameters = loadParameters(engine.tf, graph, state, { head: 'from-weights' });
  folded = foldBatchNorm(engine, graph, parameters);
});

after(() => {
  folded.dispose();
  for (const tensor of parameters.values()) tensor.dispose();
});

/** `pattern` of golden/make_network.py: `[2, size, size, 3]`. */
function pattern(size = 224): Uint8Array {
  const pixels = new Uint8Array(2 * size * size * 3);
  let at = 0;
  for (const image of [0, 1]) {
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        for (const colour of [0, 1, 2]) pixels[at++] = (row * (3 + image) + column * (5 - 2 * image) + colour * 40 + Math.floor((row * column) / 16)) % 256;
      }
    }
  }
  return pixels;
}

function publishedLogits(name: BackboneName = 'efficientnet_lite0'): Float32Array {
  const tensor = readSafetensors(readFileSync(published)).state.get(name);
  assert.ok(tensor?.dtype === 'float32');
  return tensor.data;
}

void test('the weights file holds 296 tensors', () => {
  assert.equal(state.size, 296);
  assert.equal([...state.values()].filter((tensor) => tensor.dtype === 'int64').length, 49);
});

void test('logits of the published network are PyTorch\'s, in inference and in the frozen training pass', () => {
  const { tf } = engine;
  const before = tf.memory().numTensors;
  const x = normalise(engine, graph, pattern(), 2);
  const inference = tf.tidy(() => inferenceForward(engine, graph, folded, x).dataSync());
  const training = tf.tidy(() => trainingForward(engine, graph, parameters, x, { batchNorm: 'frozen' }).dataSync());
  x.dispose();
  assert.equal(tf.memory().numTensors, before);
  assert.ok(maximumError(inference, publishedLogits()) <= 1e-4);
  assert.ok(maximumError(training, publishedLogits()) <= 1e-4);
});

for (const name of ['efficientnet_lite1', 'efficientnet_lite2'] as const) {
  void test(`logits of ${name} are PyTorch's`, async () => {
    const { tf } = engine;
    const before = tf.memory().numTensors;
    await provideWeights(name);
    const backbone = await loadBackbone(engine, { backbone: name, colour: 'rgb' }, process.env);
    const x = normalise(engine, backbone.graph, pattern(backbone.graph.inputSize), 2);
    const logits = tf.tidy(() => inferenceForward(engine, backbone.graph, backbone.folded, x).dataSync());
    x.dispose();
    backbone.dispose();
    assert.equal(tf.memory().numTensors, before);
    assert.ok(maximumError(logits, publishedLogits(name)) <= 1e-4);
  });
}

void test('inference keeps no more tensors alive than a residual needs', () => {
  const { tf } = engine;
  const x = normalise(engine, graph, pattern(), 2);
  const before = tf.memory().numBytes;
  let most = 0;
  const { convolution } = engine.kernels;
  // tfjs has no high-water mark: look at every convolution.
  const watched = { ...engine, kernels: { ...engine.kernels, convolution: ((...args) => {
    most = Math.max(most, tf.memory().numBytes - before);
    return convolution(...args);
  }) as typeof convolution } };
  tf.dispose(inferenceForward(watched, graph, folded, x));
  x.dispose();
  // The widest result is 96 channels of 112 × 112; two of that size, of 10 MB each, and their neighbours may live at once.
  assert.ok(most > 0 && most < 3 * 2 * 96 * 112 * 112 * 4, String(most));
});

void test('untouched tensors come back bit for bit, through a checkpoint too', () => {
  const digest = (data: ArrayBufferView): string => createHash('sha256').update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest('hex');
  const back = readSafetensors(writeSafetensors(toStateDict(graph, parameters))).state;
  assert.deepEqual(new Set(back.keys()), new Set(parameterSpecs(graph).map((spec) => spec.name)));
  for (const [name, tensor] of back) {
    const original = state.get(name);
    assert.ok(original);
    assert.deepEqual(tensor.shape, original.shape);
    assert.equal(digest(tensor.data), digest(original.data), name);
  }
});

void test('a new head replaces the published one and nothing else', () => {
  const { tf } = engine;
  const few = publishedEfficientNetLite('efficientnet_lite0', 3);
  const weight = Float32Array.from({ length: 1280 * 3 }, (_, index) => index);
  const bias = Float32Array.of(7, 8, 9);
  const loaded = loadParameters(tf, few, state, { head: { weight, bias } });
  const back = toStateDict(few, loaded);
  for (const tensor of loaded.values()) tensor.dispose();
  assert.deepEqual(back.get('_fc.bias')?.data, bias);
  // PyTorch's layout: the first row is the first class.
  assert.deepEqual(back.get('_fc.weight')?.data.slice(0, 3), Float32Array.of(0, 3, 6));
  assert.deepEqual(back.get('_conv_head.weight')?.data, state.get('_conv_head.weight')?.data);
});

void test('weights that do not fit say which tensor', () => {
  const { tf } = engine;
  const tensors = tf.memory().numTensors;
  const refused = (changed: StateDict, message: RegExp): void => {
    assert.throws(() => loadParameters(tf, graph, changed, { head: 'from-weights' }), (error) => error instanceof ThawError && error.code === 'weights-mismatch' && message.test(error.message));
  };
  const without = new Map(state);
  without.delete('_blocks.3._bn1.running_var');
  refused(without, /_blocks\.3\._bn1\.running_var is missing/);
  refused(new Map(state).set('extra.weight', { dtype: 'float32', shape: [1], data: new Float32Array(1) }), /"extra\.weight" belongs to no layer/);
  refused(new Map(state).set('_bn0.weight', { dtype: 'float32', shape: [31], data: new Float32Array(31) }), /_bn0\.weight is \[31\] instead of \[32\]/);
  for (const value of [NaN, Infinity]) {
    refused(new Map(state).set('_bn0.weight', { dtype: 'float32', shape: [32], data: new Float32Array(32).fill(value, 31) }), /_bn0\.weight holds values that are no finite numbers/);
  }
  refused(new Map(state).set('_bn0.weight', { dtype: 'int64', shape: [32], data: new BigInt64Array(32) }), /_bn0\.weight holds int64 instead of floating-point numbers/);
  assert.throws(() => loadParameters(tf, publishedEfficientNetLite('efficientnet_lite0', 2), state, { head: 'from-weights' }), /_fc\.weight is \[1000, 1280\] instead of \[2, 1280\]/);
  assert.equal(tf.memory().numTensors, tensors);
});

void test('weights of other precisions are loaded as float32', () => {
  const { tf } = engine;
  const others: readonly StoredTensor[] = [
    { dtype: 'float64', shape: [32], data: new Float64Array(32).fill(0.1) },
    { dtype: 'float16', shape: [32], data: new Uint16Array(32).fill(0x3555) }, // 0.333251953125
    { dtype: 'bfloat16', shape: [32], data: new Uint16Array(32).fill(0x3eab) }, // 0.333984375
  ];
  for (const [index, value] of [Math.fround(0.1), 0.333251953125, 0.333984375].entries()) {
    const loaded = loadParameters(tf, graph, new Map(state).set('_bn0.weight', others[index]!), { head: 'from-weights' });
    assert.deepEqual(loaded.get('_bn0.weight')?.dataSync(), new Float32Array(32).fill(value));
    for (const tensor of loaded.values()) tensor.dispose();
  }
});

void test('dropout draws by its seed and keeps the mean', () => {
  const { tf } = engine;
  const x = normalise(engine, graph, pattern(), 2);
  const logits = (dropout?: { seed: number }): number[] =>
    tf.tidy(() => [...trainingForward(engine, graph, parameters, x, { batchNorm: 'frozen', ...(dropout !== undefined && { dropout }) }).dataSync()]);
  assert.deepEqual(logits({ seed: 1 }), logits({ seed: 1 }));
  assert.notDeepEqual(logits({ seed: 1 }), logits({ seed: 2 }));
  const plain = logits();
  const sums = plain.map(() => 0);
  const draws = 20;
  for (let seed = 0; seed < draws; seed++) for (const [index, value] of logits({ seed: 100 + seed }).entries()) sums[index] = (sums[index] ?? 0) + value / draws;
  const error = Math.sqrt(sums.reduce((sum, value, index) => sum + (value - (plain[index] ?? 0)) ** 2, 0) / plain.reduce((sum, value) => sum + value ** 2, 0));
  assert.ok(error < 0.2, String(error));
  x.dispose();
});

void test('weights that are not there, or are damaged, are not found', () => {
  const home = mkdtempSync(path.join(os.tmpdir(), 'thaw-weights-'));
  try {
    assert.equal(findWeights('efficientnet_lite0', { THAW_HOME: home }), undefined);
    const good = findWeights('efficientnet_lite0');
    assert.ok(good);
    const copy = path.join(home, 'weights', path.basename(good.path));
    mkdirSync(path.dirname(copy));
    const bytes = readFileSync(good.path);
    writeFileSync(copy, bytes);
    assert.equal(findWeights('efficientnet_lite0', { THAW_HOME: home })?.path, copy);
    bytes[1_000_000] = (bytes[1_000_000] ?? 0) ^ 1;
    writeFileSync(copy, bytes);
    assert.equal(findWeights('efficientnet_lite0', { THAW_HOME: home }), undefined);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});

void describe('ImageNet classes of Hymenoptera\'s validation photographs', { skip: existsSync(photographs) || process.env['CI'] === 'true' ? false : `${photographs} is not here` }, () => {
  for (const { folder, index, images, right } of [
    { folder: 'ants', index: 310, images: 70, right: 61 },
    { folder: 'bees', index: 309, images: 83, right: 69 },
  ]) {
    void test(`${String(right)} of ${String(images)} ${folder}, give or take one`, async () => {
      const { tf } = engine;
      const files = readdirSync(path.join(photographs, folder)).sort();
      assert.equal(files.length, images);
      let correct = 0;
      const { resizeShortSide, crop, kernel } = graph.preprocessing;
      for (let from = 0; from < files.length; from += 16) {
        const decoded = await Promise.all(files.slice(from, from + 16).map((file) =>
          decodeImage(path.join(photographs, folder, file), { id: 'test', resizeShortSide, size: crop, kernel, colour: 'rgb' })));
        const tops = tf.tidy(() => {
          const x = normalise(engine, graph, Buffer.concat(decoded), decoded.length);
          const logits: Tensor = inferenceForward(engine, graph, folded, x);
          return [...tf.argMax(logits, 1).dataSync()];
        });
        correct += tops.filter((top) => top === index).length;
      }
      assert.ok(Math.abs(correct - right) <= 1, `${String(correct)} right`);
    });
  }
});
