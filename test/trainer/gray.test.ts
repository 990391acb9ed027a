// Gray for real: a run on gray images is another run than the one in colour, and what came out of it sees gray wherever it goes.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { decodeImage } from '../../src/dataset/decode.js';
import { graphFor } from '../../src/network/architectures.js';
import { grayPixels } from '../../src/network/gray.js';
import type { Prediction, RunRecord } from '../../src/protocol/run.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { predictedBy, pythonWith } from '../harness/python.js';
import { jsonLines, thaw, trainResult, TWO_SPLITS, type TrainResult } from './thaw.js';

const IMAGES = 40;
const PROBABILITY = 1e-4;
const torch = pythonWith('torch', 'safetensors', 'numpy', 'PIL');

let base = '';
const runs: Partial<Record<'rgb' | 'gray' | 'again', TrainResult>> = {};
let predictions: Prediction[] = [];
/** `[IMAGES, 224, 224, 3]`, in colour. */
let pixels = new Uint8Array();

before(async () => {
  base = mkdtempSync(path.join(process.env['THAW_TEST_BASE'] ?? os.tmpdir(), 'gray-'));
  // A cache of its own, so that what is found there is known.
  mkdirSync(path.join(base, 'home'));
  for (const name of ['runtimes', 'weights']) symlinkSync(path.join(cacheFolder(), name), path.join(base, 'home', name));
  process.env['THAW_HOME'] = path.join(base, 'home');
  for (const [name, colour] of [['rgb', 'rgb'], ['gray', 'gray'], ['again', 'gray']] as const) {
    runs[name] = await trainResult(TWO_SPLITS, path.join(base, 'runs'), '--strategy', 'freeze', '--colour', colour, '--epochs', '3');
  }
  predictions = (await readPredictions(runs.gray?.run ?? '')).filter((_, index) => index % 3 === 0).slice(0, IMAGES);
  const { resizeShortSide, crop, kernel } = graphFor('efficientnet_lite0', 2).preprocessing;
  pixels = Buffer.concat(await Promise.all(predictions.map(({ path: file }) => decodeImage(path.join(TWO_SPLITS, file), { id: 'test', resizeShortSide, size: crop, kernel, colour: 'rgb' }))));
});
after(() => rmSync(base, { recursive: true, force: true, maxRetries: 3 }));

function worst(rows: readonly ArrayLike<number>[]): number {
  assert.equal(rows.length, predictions.length);
  return Math.max(...rows.flatMap((row, image) => Array.from(row, (value, index) => Math.abs(value - (predictions[image]?.probabilities[index] ?? NaN)))));
}

test('features in colour are not taken for gray ones; gray ones are found again, and give the same run', async () => {
  const speeds = (['rgb', 'gray', 'again'] as const).map((name) => (JSON.parse(readFileSync(path.join(runs[name]?.run ?? '', 'run.json'), 'utf8')) as RunRecord).result?.imagesPerSecondOf);
  assert.deepEqual(speeds, ['features', 'features', 'cached features']);
  const [rgb, gray, again] = await Promise.all((['rgb', 'gray', 'again'] as const).map((name) => readPredictions(runs[name]?.run ?? '')));
  assert.deepEqual(gray, again);
  assert.notDeepEqual(gray, rgb);
});

test('predict says of a file in colour what the run stored', async () => {
  const outcome = await thaw(['predict', runs.gray?.run ?? '', ...predictions.map((image) => path.join(TWO_SPLITS, image.path)), '--json']);
  assert.equal(outcome.code, 0, outcome.stderr);
  const lines = jsonLines(outcome.stdout).slice(0, -1) as unknown as { label: string; top: { label: string; probability: number }[] }[];
  const { data } = JSON.parse(readFileSync(path.join(runs.gray?.run ?? '', 'run.json'), 'utf8')) as RunRecord;
  assert.ok(worst(lines.map(({ top }) => (data?.classes ?? []).map((name) => top.find(({ label }) => label === name)?.probability ?? NaN))) <= PROBABILITY);
});

test('compare tests gray against colour on the same images, and each is named', async () => {
  const outcome = await thaw(['compare', runs.rgb?.run ?? '', runs.gray?.run ?? '', '--json']);
  assert.equal(outcome.code, 0, outcome.stderr);
  const result = jsonLines(outcome.stdout).at(-1) as unknown as { runs: { colour: string }[]; pairs: { p: number; images: number }[]; verdict: { title: string; body: string[] } };
  assert.deepEqual(result.runs.map(({ colour }) => colour).sort(), ['gray', 'rgb']);
  assert.equal(result.pairs[0]?.images, runs.gray?.total);
  assert.ok((result.pairs[0]?.p ?? 0) > 0);
  assert.match([result.verdict.title, ...result.verdict.body].join(' '), /freeze gray/i);
  const listed = await thaw(['runs', path.join(base, 'runs')]);
  assert.equal(listed.stdout.split('\n').filter((line) => /  freeze gray  finished  /.test(line)).length, 2, listed.stdout);
  const asJson = JSON.parse((await thaw(['runs', path.join(base, 'runs'), '--json'])).stdout) as { colour: string }[];
  assert.deepEqual(asJson.map(({ colour }) => colour).sort(), ['gray', 'gray', 'rgb']);
  assert.equal(runs.gray?.colour, 'gray');
});

test('ONNX: onnxruntime makes images in colour gray inside, and gives the probabilities that training wrote down', async () => {
  const { stderr, code } = await thaw(['export', runs.gray?.run ?? '', '--format', 'onnx', '--uint8', '--out', path.join(base, 'onnx')]);
  assert.equal(code, 0, stderr);
  const session = await InferenceSession.create(path.join(base, 'onnx', 'model.onnx'));
  const { probabilities } = await session.run({ pixels: new OnnxTensor('uint8', pixels, [IMAGES, 224, 224, 3]) });
  await session.release();
  const values = probabilities?.data as Float32Array;
  assert.ok(worst(Array.from({ length: IMAGES }, (_, row) => values.subarray((row * values.length) / IMAGES, ((row + 1) * values.length) / IMAGES))) <= PROBABILITY);
  assert.match(readFileSync(path.join(base, 'onnx', 'MODEL_CARD.md'), 'utf8'), /trained by freeze on gray images[\s\S]*in colour: the network makes them gray and normalises them/);
});

test('predict.py makes an image gray as training did', { skip: torch === undefined && 'no Python with torch and safetensors: name one in THAW_TEST_PYTHON' }, async () => {
  const out = path.join(base, 'pytorch');
  const { stderr, code } = await thaw(['export', runs.gray?.run ?? '', '--format', 'pytorch', '--out', out]);
  assert.equal(code, 0, stderr);
  const file = path.join(base, 'pixels.bin');
  writeFileSync(file, grayPixels(pixels));
  const [rows = []] = await predictedBy(torch ?? '', [{ folder: out, pixels: file }]);
  assert.ok(worst(rows) <= PROBABILITY);
  const script = readFileSync(path.join(out, 'predict.py'), 'utf8');
  assert.match(script, /\.convert\("L"\)\.convert\("RGB"\)/);
  assert.match(readFileSync(path.join(out, 'MODEL_CARD.md'), 'utf8'), /Make it gray: on all three channels the luminance of ITU-R 601/);
});

test('a colour that there isn\'t is refused', async () => {
  for (const command of ['train', 'estimate']) {
    const { code, stderr } = await thaw([command, TWO_SPLITS, '--strategy', 'freeze', '--colour', 'sepia'].filter((word) => command === 'train' || !['--strategy', 'freeze'].includes(word)));
    assert.equal(code, 2);
    assert.match(stderr, /--colour "sepia" is unknown\. Use --colour rgb or --colour gray/);
  }
});
