// A trained run exported by the CLI and run elsewhere on real images: the same probabilities as training wrote down.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { InferenceSession, Tensor as OnnxTensor } from 'onnxruntime-node';
import { decodeImage } from '../../src/dataset/decode.js';
import { loadEngine } from '../../src/engine/load.js';
import { graphFor } from '../../src/network/architectures.js';
import { EXPORTED_FILES, exportNetwork } from '../../src/network/exports/exportNetwork.js';
import { normalise } from '../../src/network/forward.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { ThawError } from '../../src/protocol/errors.js';
import type { ExportResult } from '../../src/protocol/exporting.js';
import type { Prediction } from '../../src/protocol/run.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { readBack } from '../../src/trainer/exportModel.js';
import { checkOnnx, predictedBy, pythonWith, pythonWithOnnx, writeFiles } from '../harness/python.js';
import { jsonLines, thaw, trainResult, TWO_SPLITS } from './thaw.js';

const IMAGES = 100;
const PROBABILITY = 1e-4;
const torch = pythonWith('torch', 'safetensors', 'numpy', 'PIL');

let base = '';
let run = '';
let predictions: Prediction[] = [];
/** `[IMAGES, 224, 224, 3]` */
let pixels = new Uint8Array();

before(async () => {
  base = mkdtempSync(path.join(process.env['THAW_TEST_BASE'] ?? os.tmpdir(), 'exports-'));
  ({ run } = await trainResult(TWO_SPLITS, path.join(base, 'runs'), '--strategy', 'freeze', '--epochs', '3'));
  const all = await readPredictions(run);
  // Of every class: they are in its order.
  predictions = all.filter((_, index) => Math.floor((index * IMAGES) / all.length) !== Math.floor(((index - 1) * IMAGES) / all.length)).slice(0, IMAGES);
  assert.equal(predictions.length, IMAGES);
  const { resizeShortSide, crop, kernel } = graphFor('efficientnet_lite0', 2).preprocessing;
  pixels = Buffer.concat(await Promise.all(predictions.map(({ path: file }) => decodeImage(path.join(TWO_SPLITS, file), { id: 'test', resizeShortSide, size: crop, kernel, colour: 'rgb' }))));
});
after(() => rmSync(base, { recursive: true, force: true, maxRetries: 3 }));

/** `thaw export RUN … --json`, which must succeed. */
async function exported(...args: readonly string[]): Promise<ExportResult> {
  const outcome = await thaw(['export', run, '--json', ...args]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const last = jsonLines(outcome.stdout).at(-1);
  assert.equal(last?.['type'], 'result');
  const result = last as unknown as ExportResult;
  for (const file of result.files) assert.ok(existsSync(file), file);
  assert.ok(result.maxDifference <= PROBABILITY);
  return result;
}

function worstDifference(rows: readonly ArrayLike<number>[]): number {
  assert.equal(rows.length, predictions.length);
  return Math.max(...rows.flatMap((row, image) => Array.from(row, (value, index) => Math.abs(value - (predictions[image]?.probabilities[index] ?? NaN)))));
}

function rowsOf(values: ArrayLike<number>): number[][] {
  const classes = values.length / IMAGES;
  return Array.from({ length: IMAGES }, (_, row) => Array.from({ length: classes }, (__, index) => values[row * classes + index] ?? NaN));
}

test('ONNX: onnxruntime gives the probabilities of 100 images that training wrote down, and the checker passes', async (context) => {
  const engine = await loadEngine();
  const python = await pythonWithOnnx();
  for (const uint8 of [false, true]) {
    const { out, files } = await exported('--format', 'onnx', '--out', path.join(base, `onnx-${String(uint8)}`), ...(uint8 ? ['--uint8'] : []));
    assert.deepEqual(files.map((file) => path.basename(file)).sort(), ['MODEL_CARD.md', 'labels.json', 'model.onnx', 'preprocessing.json']);
    const session = await InferenceSession.create(path.join(out, EXPORTED_FILES.onnx));
    const x = uint8 ? undefined : engine.tf.tidy(() => engine.tf.transpose(normalise(engine, graphFor('efficientnet_lite0', 2), pixels, IMAGES), [0, 3, 1, 2]));
    const results = await session.run(x === undefined ? { pixels: new OnnxTensor('uint8', pixels, [IMAGES, 224, 224, 3]) } : { input: new OnnxTensor('float32', x.dataSync<'float32'>(), x.shape) });
    x?.dispose();
    await session.release();
    const difference = worstDifference(rowsOf(results['probabilities']?.data as Float32Array));
    context.diagnostic(`${uint8 ? 'uint8' : 'float32'}: ${difference.toExponential(1)}`);
    assert.ok(difference <= PROBABILITY, String(difference));
    if (python === undefined) context.diagnostic('the ONNX checker can\'t be installed here');
    else await checkOnnx(python, path.join(out, EXPORTED_FILES.onnx));
  }
});

test('predict.py gives the probabilities of 100 images that training wrote down', { skip: torch === undefined && 'no Python with torch and safetensors: name one in THAW_TEST_PYTHON' }, async (context) => {
  const { out } = await exported('--format', 'pytorch', '--out', path.join(base, 'pytorch'));
  const file = path.join(base, 'pixels.bin');
  writeFileSync(file, pixels);
  const [rows = []] = await predictedBy(torch ?? '', [{ folder: out, pixels: file }]);
  const difference = worstDifference(rows);
  context.diagnostic(difference.toExponential(1));
  assert.ok(difference <= PROBABILITY, String(difference));
});

test('safetensors: the run\'s tensors, unchanged, with labels, preprocessing and card', async () => {
  const { out, maxDifference } = await exported('--format', 'safetensors', '--out', path.join(base, 'safetensors'));
  assert.equal(maxDifference, 0);
  const { state, metadata } = readSafetensors(readFileSync(path.join(out, EXPORTED_FILES.weights)));
  assert.deepEqual(state, readSafetensors(readFileSync(path.join(run, 'model', 'model.safetensors'))).state);
  const classes = readdirSync(path.join(TWO_SPLITS, 'train')).filter((name) => !name.startsWith('.')).sort();
  assert.deepEqual(JSON.parse(readFileSync(path.join(out, EXPORTED_FILES.labels), 'utf8')), classes);
  assert.deepEqual(JSON.parse(metadata['labels'] ?? ''), classes);
  assert.equal(metadata['model_card'], readFileSync(path.join(out, EXPORTED_FILES.card), 'utf8'));
});

test('without --out the folder is named after data, run and format; one that exists is never touched', () => {
  const folder = path.join(base, 'working');
  mkdirSync(folder);
  const cli = path.resolve('dist/cli.js');
  const child = (): { status: number | null; stderr: string } => spawnSync(process.execPath, [cli, 'export', run, '--format', 'safetensors'], { cwd: folder, encoding: 'utf8' });
  assert.equal(child().status, 0);
  const name = `${path.basename(TWO_SPLITS)}-${path.basename(run)}-safetensors`;
  assert.deepEqual(readdirSync(folder), [name]);
  writeFileSync(path.join(folder, name, EXPORTED_FILES.card), 'mine');
  const again = child();
  assert.equal(again.status, 2);
  assert.match(again.stderr, /is there already\. Choose another folder, or remove it/);
  assert.equal(readFileSync(path.join(folder, name, EXPORTED_FILES.card), 'utf8'), 'mine');
  assert.deepEqual(readdirSync(folder), [name]);
});

test('what can\'t be exported says why, and leaves nothing', async () => {
  const out = path.join(base, 'refused', 'out');
  const refused = async (code: number, message: RegExp, ...args: readonly string[]): Promise<void> => {
    const outcome = await thaw(['export', ...args, '--out', out]);
    assert.equal(outcome.code, code, outcome.stderr);
    assert.match(outcome.stderr, message);
    assert.ok(!existsSync(path.dirname(out)) || readdirSync(path.dirname(out)).length === 0);
  };
  await refused(2, /--format is missing/, run);
  await refused(2, /--format "keras" is unknown\. Use one of: onnx, tfjs, safetensors, pytorch/, run, '--format', 'keras');
  await refused(2, /--uint8 is for ONNX, not for tfjs/, run, '--format', 'tfjs', '--uint8');
  await refused(2, /There is no run "nothing"/, 'nothing', '--format', 'onnx');
  const copy = path.join(base, 'copies', 'run-1');
  mkdirSync(path.join(copy, 'model'), { recursive: true });
  const record = JSON.parse(readFileSync(path.join(run, 'run.json'), 'utf8')) as Record<string, unknown>;
  const { result, ...without } = record;
  writeFileSync(path.join(copy, 'run.json'), JSON.stringify({ ...without, id: 'run-1', state: 'stopped' }));
  await refused(2, /run-1 has no trained model: it is stopped/, copy, '--format', 'onnx');
  writeFileSync(path.join(copy, 'run.json'), JSON.stringify({ ...without, id: 'run-1', result }));
  await refused(1, /it has no model\/model\.safetensors/, copy, '--format', 'onnx');
  const weights = path.join(copy, 'model', 'model.safetensors');
  copyFileSync(path.join(run, 'model', 'model.safetensors'), weights);
  writeFileSync(weights, readFileSync(weights).subarray(0, -4));
  await refused(1, /not a safetensors file that can be read: it is cut off/, copy, '--format', 'onnx');
  writeFileSync(path.join(copy, 'run.json'), JSON.stringify({ ...without, id: 'run-1', result, configuration: { ...(record['configuration'] as object), backbone: 'efficientnet_lite1' } }));
  copyFileSync(path.join(run, 'model', 'model.safetensors'), weights);
  await refused(1, /The weights don't fit efficientnet_lite1/, copy, '--format', 'onnx');
});

test('a byte that changes between writing and reading back is found in every file', async () => {
  const engine = await loadEngine();
  const { state } = readSafetensors(readFileSync(path.join(run, 'model', 'model.safetensors')));
  const labels = readdirSync(path.join(TWO_SPLITS, 'train')).filter((name) => !name.startsWith('.')).sort();
  const model = { graph: graphFor('efficientnet_lite0', labels.length), state, labels, card: '# Card\n' };
  for (const format of ['onnx', 'tfjs', 'safetensors', 'pytorch'] as const) {
    const choice = { format, uint8: false };
    const files = await exportNetwork(engine, model, choice, '0');
    const folder = writeFiles(path.join(base, `damaged-${format}`), files);
    assert.ok(await readBack(engine, model, choice, folder, files) <= PROBABILITY);
    for (const [name, bytes] of files) {
      const changed = Buffer.from(bytes);
      const at = Math.floor(changed.length / 2);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(path.join(folder, name), changed);
      await assert.rejects(readBack(engine, model, choice, folder, files), (error) => error instanceof ThawError && error.code === 'export-differs', `${format} ${name}`);
      writeFileSync(path.join(folder, name), bytes);
    }
  }
});
