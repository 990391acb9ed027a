// The recipe `seed` as a person runs it, and the whole images that it crops.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import sharp from 'sharp';
import * as v from 'valibot';
import { centreOffset, decodeImage, decodeWholeImage, type Preprocessing } from '../../src/dataset/decode.js';
import { runRecordSchema, type RunRecord } from '../../src/protocol/run.js';
import { recipeNamed } from '../../src/training/recipes.js';
import { readSafetensors } from '../../src/network/weights/safetensors.js';
import { EMOJI, jsonLines, temporaryFolder, thaw, trainResult } from './thaw.js';

const PREPROCESSING: Preprocessing = { id: 'test', resizeShortSide: 64, size: 64, kernel: 'linear', colour: 'rgb' };

test('a whole image has in its middle the square that every other run sees', async () => {
  for (const [width, height] of [[200, 100], [90, 333], [64, 64], [40, 61], [1200, 70]] as const) {
    const noise = Buffer.from(Uint8Array.from({ length: width * height * 3 }, (_, index) => (index * 2654435761) >>> 24));
    const file = await sharp(noise, { raw: { width, height, channels: 3 } }).png().toBuffer();
    const square = await decodeImage(file, PREPROCESSING);
    const { pixels, ...whole } = await decodeWholeImage(file, PREPROCESSING);
    assert.equal(Math.min(whole.width, whole.height), 64);
    assert.equal(pixels.length, whole.width * whole.height * 3);
    const [left, top] = [centreOffset(whole.width, 64), centreOffset(whole.height, 64)];
    for (let y = 0; y < 64; y++) {
      const from = ((top + y) * whole.width + left) * 3;
      assert.ok(Buffer.from(pixels.subarray(from, from + 64 * 3)).equals(square.subarray(y * 64 * 3, (y + 1) * 64 * 3)), `${String(width)} × ${String(height)}, row ${String(y)}`);
    }
  }
});

test('seed trains through the whole network, the same for the same seed, and leaves out what can\'t be decoded', async (context) => {
  const folder = temporaryFolder(context);
  const dataset = path.join(folder, 'pictures');
  for (const name of ['food', 'vehicles']) {
    mkdirSync(path.join(dataset, name), { recursive: true });
    for (const file of readdirSync(path.join(EMOJI, 'train', name)).sort().slice(0, 10)) copyFileSync(path.join(EMOJI, 'train', name, file), path.join(dataset, name, file));
  }
  writeFileSync(path.join(dataset, 'food', 'broken.png'), readFileSync(path.join(dataset, 'food', readdirSync(path.join(dataset, 'food'))[0] ?? '')).subarray(0, 400));
  const model = (run: string): Buffer => readFileSync(path.join(run, 'model/model.safetensors'));
  for (const strategy of ['freeze', 'finetune'] as const) {
    const run = (seed: string): ReturnType<typeof trainResult> => trainResult(dataset, path.join(folder, 'runs'), '--strategy', strategy, '--recipe', 'seed', '--epochs', '2', '--batch', '6', '--seed', seed);
    const [first, second, other] = [await run('1'), await run('1'), await run('2')];
    assert.ok(model(first.run).equals(model(second.run)), `${strategy}: the weights differ`);
    assert.ok(!model(first.run).equals(model(other.run)), `${strategy}: the seed does nothing`);

    const record: RunRecord = v.parse(runRecordSchema, JSON.parse(readFileSync(path.join(first.run, 'run.json'), 'utf8')));
    const { batchAbove: _, ...rest } = recipeNamed('seed', strategy, 'efficientnet_lite0');
    assert.deepEqual(record.configuration.recipe, { ...rest, epochs: 2, batch: 6 });
    assert.equal(record.data?.leftOut[0]?.path, 'food/broken.png');
    assert.equal(record.result?.imagesPerSecondOf, 'training');
    assert.equal(record.result.epochs, 2);
    // Of freeze, the last layer: 1,280 features and a bias for each of two classes.
    assert.equal(record.result.parameters.trained, strategy === 'freeze' ? 2562 : record.result.parameters.total);

    // Filters stay under freeze, and running statistics drift all the same.
    const [one, two] = [first, other].map(({ run: at }) => readSafetensors(model(at)).state);
    const same = (name: string): boolean => isDeepStrictEqual(one?.get(name)?.data, two?.get(name)?.data);
    const names = [...one?.keys() ?? []];
    const filters = names.filter((name) => name.endsWith('conv.weight'));
    const statistics = names.filter((name) => name.endsWith('running_mean'));
    assert.ok(filters.length > 10 && statistics.length > 10);
    assert.equal(filters.every(same), strategy === 'freeze');
    assert.ok(!statistics.some(same));
  }
});

test('recipes are listed, printed as files, and read back', async (context) => {
  const listed = await thaw(['recipes', '--json']);
  assert.equal(listed.code, 0, listed.stderr);
  assert.match(listed.stdout, /"name":"seed"/);
  const printed = await thaw(['recipes', 'seed', '--strategy', 'freeze']);
  const file = path.join(temporaryFolder(context), 'mine.json');
  writeFileSync(file, printed.stdout);
  assert.deepEqual(JSON.parse(printed.stdout), recipeNamed('seed', 'freeze', 'efficientnet_lite0'));
  // A file that another strategy is meant by is refused before anything is written.
  const refused = await thaw(['train', EMOJI, '--strategy', 'finetune', '--recipe', file, '--json']);
  assert.equal(refused.code, 2);
  assert.equal(jsonLines(refused.stdout).at(-1)?.['code'], 'unfit-recipe');
  const misspelt = await thaw(['train', EMOJI, '--strategy', 'finetune', '--set', 'body.learningrate=1', '--json']);
  assert.match(String(jsonLines(misspelt.stdout).at(-1)?.['next']), /body\.learningRate/);
});
