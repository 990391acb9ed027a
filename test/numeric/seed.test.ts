// The recipe `seed` against PyTorch, step by step: golden/make_seed.py wrote pixels, order and values in float64.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { drawResizedCrop, resizedCropInto, type Box } from '../../src/dataset/augment.js';
import { loadEngine, type Engine } from '../../src/engine/load.js';
import { loadParameters } from '../../src/network/parameters.js';
import type { Strategy } from '../../src/protocol/run.js';
import { disposeParameters, finetune, type FinetuneRecipe, type LabelledImage } from '../../src/training/finetune.js';
import { SeededRandom } from '../../src/training/random.js';
import { recipeNamed } from '../../src/training/recipes.js';
import { difference, norm, readGolden } from './goldenNetwork.js';

interface Run {
  readonly losses: readonly number[];
  /** Running means and variances after five steps. */
  readonly statistics: Readonly<Record<string, readonly number[]>>;
}

interface SeedGolden {
  readonly size: number;
  readonly batch: number;
  readonly classes: number;
  readonly recipe: { readonly learningRate: number; readonly momentum: number; readonly decayEpochs: number; readonly decayFactor: number };
  /** Of the images, epoch by epoch. */
  readonly order: readonly (readonly number[])[];
  readonly labels: readonly number[];
  /** Base64 of `[images, size, size, 3]` bytes. */
  readonly pixels: string;
  readonly freeze: Run;
  /** `spread`: the largest relative difference of PyTorch's own float32 losses up to each step. */
  readonly finetune: Run & { readonly spread: readonly number[] };
  readonly crops: readonly { readonly box: Box; readonly sha256: string }[];
  readonly fallback: readonly { readonly width: number; readonly height: number; readonly box: Box }[];
  /** Of an image of 341 × 256, over so many of torchvision's draws. */
  readonly share: { readonly mean: number; readonly deviation: number; readonly draws: number };
}

const golden = JSON.parse(gunzipSync(readFileSync(path.join(process.cwd(), 'test', 'numeric', 'golden', 'seed.json.gz'))).toString('utf8')) as SeedGolden;
const pixels = Buffer.from(golden.pixels, 'base64');
const { graph: wide, start } = readGolden('basic');
const graph = { ...wide, preprocessing: { ...wide.preprocessing, crop: golden.size } };
const images: LabelledImage[] = golden.labels.map((label, index) => ({ path: String(index), sha256: '', class: label }));

let engine: Engine;
before(async () => { engine = await loadEngine(); });

/** The recipe as it is, on pixels that are cropped already. */
function recipeFor(strategy: Strategy, change: Partial<FinetuneRecipe['body']> = {}): FinetuneRecipe {
  const { body } = recipeNamed('seed', strategy, 'resnet18');
  assert.ok(body !== undefined);
  const { resizedCrop: _, ...rest } = body;
  return { epochs: golden.order.length, batch: golden.batch, body: { ...rest, flip: false, crop: false, decayEpochs: golden.recipe.decayEpochs, ...change } };
}

/** Losses of the steps, and the parameters after so many epochs of five steps. */
async function trained(recipe: FinetuneRecipe): Promise<{ losses: number[]; values: Map<string, Float32Array> }> {
  const parameters = loadParameters(engine.tf, graph, start, { head: 'from-weights' });
  const epochs = golden.order.values();
  const losses: number[] = [];
  const bytes = golden.size ** 2 * 3;
  const result = await finetune(engine, graph, parameters, images, images, {
    preprocessing: { id: 'golden', resizeShortSide: golden.size, size: golden.size, kernel: 'linear', colour: 'rgb' },
    async *stream(wanted: readonly { readonly path: string }[]) {
      for (const [index, { path: name }] of wanted.entries()) yield await Promise.resolve({ index, pixels: pixels.subarray(Number(name) * bytes, (Number(name) + 1) * bytes) });
    },
  }, recipe, {
    permutation: () => Uint32Array.from(epochs.next().value ?? []),
    integer: () => assert.fail('nothing is drawn'),
    uniform: () => assert.fail('nothing is drawn'),
  }, { onStep: ({ loss }) => { losses.push(loss); }, onEpoch: () => undefined, stopRequested: () => false });
  const values = new Map([...(result.parameters ?? [])].map(([name, tensor]) => [name, Float32Array.from(tensor.dataSync<'float32'>())]));
  disposeParameters(result.parameters);
  disposeParameters(parameters);
  return { losses, values };
}

function relative(losses: readonly number[], exact: readonly number[]): number[] {
  assert.equal(losses.length, exact.length);
  return losses.map((loss, index) => Math.abs(loss - (exact[index] ?? NaN)) / Math.abs(exact[index] ?? NaN));
}

/** The largest relative error, in norm, of a running statistic after five steps. */
async function statisticsError(strategy: Strategy, exact: Run['statistics']): Promise<number> {
  const { values } = await trained({ ...recipeFor(strategy), epochs: 1 });
  const names = Object.keys(exact);
  assert.ok(names.length > 8);
  return Math.max(...names.map((name) => {
    const expected = Float32Array.from(exact[name] ?? []);
    return norm(difference(values.get(name) ?? new Float32Array(), expected)) / norm(expected);
  }));
}

describe('seed, step by step as PyTorch', () => {
  test('the golden is of the recipe', () => {
    for (const strategy of ['freeze', 'finetune'] as const) {
      const { body } = recipeFor(strategy);
      assert.deepEqual([body.learningRate, body.momentum, body.decayFactor, body.clipNorm, body.weightDecay, body.batchNorm],
        [golden.recipe.learningRate, golden.recipe.momentum, golden.recipe.decayFactor, 0, 0, 'batch']);
    }
  });

  test('freeze: the losses of 20 steps within 1e-4, only the last layer moves, and running statistics drift as there', async () => {
    const { losses } = await trained(recipeFor('freeze'));
    assert.ok(Math.max(...relative(losses, golden.freeze.losses)) <= 1e-4, relative(losses, golden.freeze.losses).join(' '));
    const error = await statisticsError('freeze', golden.freeze.statistics);
    assert.ok(error <= 1e-3, String(error));

    const before = loadParameters(engine.tf, graph, start, { head: 'from-weights' });
    const { values } = await trained(recipeFor('freeze'));
    for (const [name, tensor] of before) {
      const moved = tensor.dataSync<'float32'>().some((value, index) => value !== values.get(name)?.[index]);
      assert.equal(moved, name.startsWith(`${graph.head}.`) || name.includes('.running_'), name);
    }
    disposeParameters(before);
  });

  test('finetune: the losses of 5 steps within 1e-3, statistics too; those of 6 to 20 within three times PyTorch\'s own spread', async () => {
    const { losses } = await trained(recipeFor('finetune'));
    const errors = relative(losses, golden.finetune.losses);
    assert.ok(Math.max(...errors.slice(0, 5)) <= 1e-3, errors.join(' '));
    const error = await statisticsError('finetune', golden.finetune.statistics);
    assert.ok(error <= 1e-3, String(error));
    for (const [step, value] of errors.entries()) {
      if (step >= 5) assert.ok(value <= 3 * (golden.finetune.spread[step] ?? NaN), `step ${String(step + 1)}: ${String(value)} against ${String(golden.finetune.spread[step])}`);
    }
  });

  test('the comparison sees a wrong momentum, rate, schedule, statistic or batch', async () => {
    const changes: Record<string, Partial<FinetuneRecipe['body']>> = {
      momentum: { momentum: 0.8 }, rate: { learningRate: 1.1e-3 }, schedule: { decayEpochs: 10 }, statistics: { batchNorm: 'frozen' }, batches: { batches: 'even' },
    };
    for (const [what, change] of Object.entries(changes)) {
      const { losses } = await trained(recipeFor('freeze', change));
      assert.ok(losses.length !== golden.freeze.losses.length || Math.max(...relative(losses, golden.freeze.losses)) > 1e-4, what);
    }
  });

  test('no tensor is left', async () => {
    await trained(recipeFor('freeze'));
    const count = engine.tf.memory().numTensors;
    await trained(recipeFor('freeze'));
    await trained(recipeFor('finetune'));
    assert.equal(engine.tf.memory().numTensors, count);
  });
});

describe('random resized crops', () => {
  test('are Pillow\'s, byte by byte', () => {
    const { size } = golden;
    const image = { pixels, width: size, height: images.length * size };
    for (const { box, sha256 } of golden.crops) {
      const target = new Uint8Array(size * size * 3);
      resizedCropInto(target, 0, image, box, size, false);
      assert.equal(createHash('sha256').update(target).digest('hex'), sha256, JSON.stringify(box));
      const mirrored = new Uint8Array(size * size * 3);
      resizedCropInto(mirrored, 0, image, box, size, true);
      for (let at = 0; at < size * 3; at++) assert.equal(mirrored[at], target[(size - 1 - Math.floor(at / 3)) * 3 + (at % 3)]);
    }
    assert.throws(() => { resizedCropInto(new Uint8Array(size * size * 3), 0, image, { left: 1, top: 0, width: size, height: 1 }, size, false); }, RangeError);
  });

  test('are drawn as torchvision draws them', () => {
    const bounds = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] } as const;
    for (const { width, height, box } of golden.fallback) {
      assert.deepEqual(drawResizedCrop({ width, height }, { scale: [4, 4], ratio: bounds.ratio }, new SeededRandom(0, 'crops')), box);
    }
    const random = new SeededRandom(1, 'crops');
    const image = { width: 341, height: 256 };
    const { mean, deviation, draws } = golden.share;
    let area = 0;
    for (let draw = 0; draw < draws; draw++) {
      const { left, top, width, height } = drawResizedCrop(image, bounds, random);
      assert.ok(left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height);
      assert.ok(width / height > 0.73 && width / height < 1.36, `${String(width)} × ${String(height)}`);
      area += (width * height) / (image.width * image.height) / draws;
    }
    assert.ok(Math.abs(area - mean) < 4 * deviation * Math.sqrt(2 / draws), `${String(area)} against ${String(mean)}`);
  });
});
