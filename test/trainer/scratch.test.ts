// From scratch for real, on a machine that has no pretrained weights: every tensor moves from its random start, and something is learned.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import sharp from 'sharp';
import * as v from 'valibot';
import { graphFor } from '../../src/network/architectures.js';
import { initialState } from '../../src/network/initialisation.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { runRecordSchema } from '../../src/protocol/run.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { SeededRandom } from '../../src/training/random.js';
import { jsonLines, startThaw, thaw, trainResult, type TrainResult } from './thaw.js';

const SEED = 5;
let base = '';
let pictures = '';
let runs = '';
let result: TrainResult;

before(async () => {
  base = mkdtempSync(path.join(process.env['THAW_TEST_BASE'] ?? os.tmpdir(), 'scratch-'));
  pictures = path.join(base, 'pictures');
  runs = path.join(base, 'runs');
  const home = path.join(base, 'home');
  mkdirSync(home);
  symlinkSync(path.join(cacheFolder(), 'runtimes'), path.join(home, 'runtimes'));
  process.env['THAW_HOME'] = home;
  await stripes(pictures);
  result = await trainResult(pictures, runs, '--strategy', 'scratch', '--seed', String(SEED), '--epochs', '6', '--batch', '8');
});
after(() => rmSync(base, { recursive: true, force: true, maxRetries: 3 }));

/** Stripes that lie or stand, of random width, place and colours, 40 of each: the easiest thing that colours alone don't tell. */
async function stripes(folder: string): Promise<void> {
  const random = new SeededRandom(0, 'stripes');
  const side = 256;
  for (const [name, standing] of [['lying', false], ['standing', true]] as const) {
    mkdirSync(path.join(folder, name), { recursive: true });
    for (let image = 0; image < 40; image++) {
      const [width, shift] = [6 + random.integer(20), random.integer(50)];
      const colours = [0, 1].map((bright) => Array.from({ length: 3 }, () => bright * 128 + random.integer(128)));
      const pixels = Buffer.alloc(side * side * 3);
      for (let y = 0; y < side; y++) {
        for (let x = 0; x < side; x++) pixels.set(colours[Math.floor(((standing ? x : y) + shift) / width) % 2] ?? [], (y * side + x) * 3);
      }
      await sharp(pixels, { raw: { width: side, height: side, channels: 3 } }).png().toFile(path.join(folder, name, `${String(image)}.png`));
    }
  }
}

test('every tensor has moved from its random start, and the run says that it had no other', () => {
  const record = v.parse(runRecordSchema, JSON.parse(readFileSync(path.join(result.run, 'run.json'), 'utf8')));
  const start = initialState(graphFor('efficientnet_lite0', 2), new SeededRandom(SEED, 'start'));
  const { state } = readSafetensors(readFileSync(path.join(result.run, 'model', 'model.safetensors')));
  assert.deepEqual([...state.keys()].sort(), [...start.keys()].sort());
  for (const [name, { data }] of state) assert.notDeepEqual(data, start.get(name)?.data, name);
  assert.equal(record.configuration.strategy, 'scratch');
  assert.equal(record.environment?.weights, undefined);
  assert.equal(record.result?.parameters.trained, record.result?.parameters.total);
  assert.equal(record.result?.imagesPerSecondOf, 'training');
  const model = JSON.parse(readFileSync(path.join(result.run, 'model', 'model.json'), 'utf8')) as Record<string, unknown>;
  assert.equal(model['pretrained'], undefined);
});

test('it has learned', (context) => {
  context.diagnostic(`${String(result.correct)} of ${String(result.total)}`);
  assert.equal(result.total, 16);
  assert.ok(result.correct >= 14, `${String(result.correct)} of 16`); // by chance, 14 or more: p = .002
});

test('predict and an export say what the run stored', async () => {
  const stored = await readPredictions(result.run);
  const outcome = await thaw(['predict', result.run, ...stored.map((image) => path.join(pictures, image.path)), '--json']);
  assert.equal(outcome.code, 0, outcome.stderr);
  const lines = jsonLines(outcome.stdout).slice(0, -1) as unknown as { top: { label: string; probability: number }[] }[];
  for (const [index, { probabilities }] of stored.entries()) {
    for (const { label, probability } of lines[index]?.top ?? []) {
      assert.ok(Math.abs(probability - (probabilities[label === 'lying' ? 0 : 1] ?? NaN)) <= 1e-4, `${String(index)}: ${label} ${String(probability)}`);
    }
  }
  const out = path.join(base, 'onnx');
  const exported = await thaw(['export', result.run, '--format', 'onnx', '--out', out]);
  assert.equal(exported.code, 0, exported.stderr);
  assert.match(readFileSync(path.join(out, 'MODEL_CARD.md'), 'utf8'), /trained from scratch[\s\S]*None\. Training started from random values, drawn with seed 5/);
});

test('a head that is rectified before it is averaged stays alive, and learns', async (context) => {
  const { correct, total } = await trainResult(pictures, runs, '--strategy', 'scratch', '--backbone', 'squeezenet1_1', '--epochs', '12', '--batch', '8');
  context.diagnostic(`${String(correct)} of ${String(total)}`);
  assert.ok(correct >= 14, `${String(correct)} of ${String(total)}`);
});

test('one seed gives one run, and gray goes with it', async () => {
  const twice: TrainResult[] = [];
  for (const _ of [1, 2]) twice.push(await trainResult(pictures, runs, '--strategy', 'scratch', '--colour', 'gray', '--backbone', 'squeezenet1_1', '--epochs', '1'));
  const [one, two] = await Promise.all(twice.map(({ run }) => readPredictions(run)));
  assert.deepEqual(one, two);
  assert.match((await thaw(['runs', runs])).stdout, /  scratch gray  finished  /);
});

test('the study\'s recipe runs from a random start; what would do nothing is refused', async () => {
  const seed = await trainResult(pictures, runs, '--strategy', 'scratch', '--recipe', 'seed', '--epochs', '1', '--batch', '16');
  assert.equal(seed.epochs, 1);
  for (const [said, ...args] of [
    [/--weights efficientnet_lite0 would do nothing: scratch starts from random values/, '--weights', 'efficientnet_lite0'],
    [/no recipe "fast" for scratch/, '--recipe', 'fast'],
    [/body\.headStart/, '--set', 'body.headStart=trained'],
    [/body\.batchNorm/, '--set', 'body.batchNorm=frozen'],
  ] as const) {
    const { code, stderr } = await thaw(['train', pictures, '--runs', runs, '--strategy', 'scratch', ...args]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, said);
  }
});

test('a study of nothing else knows beforehand how long it takes', async (context) => {
  const study = startThaw(['study', pictures, '--strategies', 'scratch', '--colour', 'rgb', '--backbones', 'squeezenet1_1', '--seeds', '2', '--runs', path.join(base, 'studied'), '--json']);
  context.after(() => { study.child.kill('SIGKILL'); });
  const { seconds, runs: planned } = await study.lineWhere(({ type }) => type === 'estimate') as { seconds: number; runs: number };
  assert.equal(planned, 2);
  assert.ok(seconds > 2 && seconds < 3600, `${seconds} s`);
  study.child.kill('SIGINT');
  const { code, stderr } = await study.ended;
  assert.equal(code, 130, stderr);
});
