// Every network at its published width, exported and run elsewhere: onnxruntime, the ONNX checker, PyTorch with torchvision's own architectures.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { ARCHITECTURES, graphFor, type ArchitectureName } from '../../src/network/architectures.js';
import { compareExport, EXPORTED_FILES, exportNetwork } from '../../src/network/exports/exportNetwork.js';
import type { TrainedModel } from '../../src/network/exports/trainedModel.js';
import { normalise } from '../../src/network/forward.js';
import type { Graph } from '../../src/network/graph.js';
import { checkOnnx, predictedBy, pythonWith, pythonWithOnnx, writeFiles } from '../harness/python.js';
import { calibratedState, inferredLogits } from './calibratedNetwork.js';
import { maximumError } from './goldenNetwork.js';

const CLASSES = 5;
const IMAGES = 4;
const PROBABILITY = 1e-4;
const torch = pythonWith('torch', 'torchvision', 'safetensors', 'numpy', 'PIL');

interface Made {
  readonly model: TrainedModel;
  readonly pixels: Uint8Array;
  readonly logits: Float32Array;
  readonly probabilities: number[];
}

let engine: Engine;
let onnxPython: string | undefined;
const base = mkdtempSync(path.join(process.env['THAW_TEST_BASE'] ?? tmpdir(), 'exports-'));
before(async () => {
  engine = await loadEngine();
  onnxPython = await pythonWithOnnx();
});
after(() => rmSync(base, { recursive: true, force: true }));

/** `[IMAGES, size, size, 3]`: gradients and edges, a different mix in each. */
function pictures({ inputSize: size }: Graph): Uint8Array {
  const pixels = new Uint8Array(IMAGES * size * size * 3);
  let at = 0;
  for (let image = 0; image < IMAGES; image++) {
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        for (const colour of [0, 1, 2]) pixels[at++] = (row * (2 + image) + column * (5 - image) + colour * 60 + (Math.floor(row / (8 + 9 * image)) % 2) * 90 + Math.floor((row * column) / 40)) % 256;
      }
    }
  }
  return pixels;
}

const networks = new Map<ArchitectureName, Made>();

function made(name: ArchitectureName): Made {
  const known = networks.get(name);
  if (known !== undefined) return known;
  const graph = graphFor(name, CLASSES);
  const pixels = pictures(graph);
  const x = normalise(engine, graph, pixels, IMAGES);
  const state = calibratedState(engine, graph, x);
  const logits = inferredLogits(engine, graph, state, x);
  x.dispose();
  const model = { graph, state, labels: Array.from({ length: CLASSES }, (_, index) => `class ${String(index)}`), card: '# Card\n' };
  const result = { model, pixels, logits, probabilities: softmax(logits) };
  networks.set(name, result);
  return result;
}

function softmax(logits: Float32Array): number[] {
  const rows = Array.from({ length: logits.length / CLASSES }, (_, row) => [...logits.slice(row * CLASSES, (row + 1) * CLASSES)]);
  return rows.flatMap((row) => {
    const exponents = row.map((value) => Math.exp(value - Math.max(...row)));
    const sum = exponents.reduce((total, value) => total + value, 0);
    return exponents.map((value) => value / sum);
  });
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.equal(a.length, b.length);
  return Math.max(...Array.from(a, (value, index) => Math.abs(value - (b[index] ?? NaN))));
}

for (const name of ARCHITECTURES) {
  describe(name, () => {
    test(`${name} has logits that tell images and classes apart`, () => {
      const { logits } = made(name);
      const largest = Math.max(...logits.map(Math.abs));
      assert.ok(largest > 2.9 && largest < 3.1, String(largest));
      assert.ok(new Set(logits.map((value) => Math.round(value * 1e4))).size > CLASSES, 'not the same for every image');
    });

    test(`ONNX of ${name}: onnxruntime gives Thaw's numbers, from pixels too, and the checker passes`, async (context) => {
      const { model, pixels, logits, probabilities } = made(name);
      const size = model.graph.inputSize;
      for (const uint8 of [false, true]) {
        const choice = { format: 'onnx', uint8 } as const;
        const files = await exportNetwork(engine, model, choice, '0');
        const bytes = files.get(EXPORTED_FILES.onnx) ?? new Uint8Array();
        const session = await InferenceSession.create(bytes);
        const x = engine.tf.tidy(() => engine.tf.transpose(normalise(engine, model.graph, pixels, IMAGES), [0, 3, 1, 2]).dataSync<'float32'>());
        const results = await session.run(uint8 ? { pixels: new OnnxTensor('uint8', pixels, [IMAGES, size, size, 3]) } : { input: new OnnxTensor('float32', x, [IMAGES, 3, size, size]) });
        await session.release();
        const difference = largestDifference(results['probabilities']?.data as Float32Array, probabilities);
        const error = maximumError(results['logits']?.data as Float32Array, logits);
        context.diagnostic(`${uint8 ? 'uint8' : 'float32'}: ${difference.toExponential(1)} in a probability, ${error.toExponential(1)} of the largest logit`);
        assert.ok(difference <= PROBABILITY && error <= 1e-3, `${String(difference)} ${String(error)}`);
        if (onnxPython === undefined) context.diagnostic('the ONNX checker can\'t be installed here');
        else await checkOnnx(onnxPython, path.join(writeFiles(path.join(base, `${name}-onnx`), files), EXPORTED_FILES.onnx));
      }
    });

    test(`${name} is read back as the same network`, async (context) => {
      const { model } = made(name);
      for (const format of ['onnx', 'tfjs', 'safetensors'] as const) {
        const choice = { format, uint8: false };
        const difference = await compareExport(engine, model, choice, await exportNetwork(engine, model, choice, '0'));
        context.diagnostic(`${format}: ${difference.toExponential(1)} in a probability`);
        assert.ok(difference <= PROBABILITY);
      }
    });
  });
}

test('predict.py loads each network strictly into PyTorch, torchvision\'s where it has one, and gives Thaw\'s numbers', { skip: torch === undefined && 'no Python with torch, torchvision and safetensors: name one in THAW_TEST_PYTHON' }, async (context) => {
  const folders = await Promise.all(ARCHITECTURES.map(async (name) => {
    const { model, pixels } = made(name);
    const folder = writeFiles(path.join(base, name), await exportNetwork(engine, model, { format: 'pytorch', uint8: false }, '0'));
    writeFileSync(path.join(folder, 'pixels.bin'), pixels);
    return { folder, pixels: path.join(folder, 'pixels.bin') };
  }));
  const predicted = await predictedBy(torch ?? '', folders);
  for (const [index, name] of ARCHITECTURES.entries()) {
    const difference = largestDifference(predicted[index]?.flat() ?? [], made(name).probabilities);
    context.diagnostic(`${name}: ${difference.toExponential(1)} in a probability`);
    assert.ok(difference <= PROBABILITY, `${name}: ${String(difference)}`);
  }
});
