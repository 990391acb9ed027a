// Advice for real: `thaw advise` on the sample's pictures and on noise, with the engine and the published weights.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import * as v from 'valibot';
import { graphFor } from '../../src/network/architectures.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { adviceSchema, type Advice } from '../../src/protocol/advice.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { SeededRandom } from '../../src/training/random.js';
import { EMOJI, jsonLines, temporaryFolder, thaw } from './thaw.js';

/** `thaw advise FOLDER --json`, which must succeed, and what it said on the way. */
async function adviceOn(folder: string, ...args: readonly string[]): Promise<{ advice: Advice; progress: string[] }> {
  const outcome = await thaw(['advise', folder, '--json', ...args]);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stderr, '');
  const lines = jsonLines(outcome.stdout);
  const last = lines.pop();
  assert.equal(last?.['type'], 'result');
  return { advice: v.parse(adviceSchema, last), progress: lines.map((line) => String(line['message'])) };
}

/** Some pictures of some kinds, train and val, one training picture of each kind twice. */
function fewPictures(folder: string, kinds: readonly string[], train: number, validation: number): string {
  const root = path.join(folder, 'few');
  for (const [split, count] of [['train', train], ['val', validation]] as const) {
    for (const kind of kinds) {
      const target = path.join(root, split, kind);
      mkdirSync(target, { recursive: true });
      const names = readdirSync(path.join(EMOJI, split, kind)).sort().slice(0, count);
      for (const name of names) copyFileSync(path.join(EMOJI, split, kind, name), path.join(target, name));
      if (split === 'train') copyFileSync(path.join(EMOJI, split, kind, names[0]!), path.join(target, `copy-of-${names[0]!}`));
    }
  }
  return root;
}

test('advice on pictures: measured on training images alone, the same from the cache, with a pilot when asked', async (context) => {
  const root = fewPictures(temporaryFolder(context), ['animals', 'flags', 'vehicles'], 24, 10);
  writeFileSync(path.join(root, 'train', 'flags', 'broken.png'), 'no picture');
  const { advice, progress } = await adviceOn(root);
  const { measurements: found } = advice;
  assert.deepEqual([found.classes, found.train, found.validation, found.measured], [3, 75, 30, 75]);
  assert.deepEqual(found.perClass, { least: 25, median: 25, most: 25 });
  for (const each of [found.probe, found.nearestMean, ...found.learningCurve]) {
    assert.equal(each.total, 75);
    assert.ok(each.accuracy > 1 / 3 && each.interval[0] < each.accuracy, JSON.stringify(each));
  }
  assert.ok(found.probe.accuracy > 0.8, 'three kinds of emoji are easily told apart');
  assert.deepEqual(found.learningCurve.map(({ share }) => share), [0.25, 0.5, 1]);
  assert.ok(found.nearness !== undefined && found.nearness.mean > 0 && found.nearness.mean < 0.8, JSON.stringify(found.nearness));
  const [network] = found.logme;
  assert.equal(network?.backbone, 'efficientnet_lite0');
  assert.deepEqual(network.cuts.map(({ stride }) => stride), [2, 4, 8, 16, 32]);
  assert.ok(network.cuts.at(-1)!.logme > network.cuts[0]!.logme, 'features say more of the classes than edges do');
  assert.equal(advice.recommendation, advice.decision.recommendation);
  assert.ok(advice.minutes > 0 && found.seconds.finetune > found.seconds.freeze);
  assert.match(advice.reason, /^[^\n]+\.$/);
  for (const message of ['Reading the dataset', 'Computing features', 'Measuring the features', 'Comparing networks', 'Estimating how long training takes']) assert.ok(progress.includes(message), message);

  const again = (await adviceOn(root, '--pilot')).advice;
  // How many networks are compared is a matter of time.
  const { pilot, seconds: _, notCompared: _n, logme, ...rest } = again.measurements;
  const { seconds: __, notCompared: __n, logme: logmeBefore, ...first } = found;
  assert.deepEqual(rest, first);
  const both = logmeBefore.filter((one) => logme.some(({ backbone }) => backbone === one.backbone));
  assert.ok(both.length > 0);
  for (const one of both) assert.deepEqual(logme.find(({ backbone }) => backbone === one.backbone), one);
  assert.ok(pilot !== undefined && pilot.trained === 75 && pilot.freeze.total === 30 && pilot.finetune.total === 30);
  assert.equal(pilot.finetune.correct - pilot.freeze.correct, pilot.onlyFinetuneRight - pilot.onlyFreezeRight);

  const text = await thaw(['advise', root]);
  assert.equal(text.code, 0, text.stderr);
  assert.ok(text.stdout.includes(advice.reason) && /→ small, (near|far)/.test(text.stdout), text.stdout);
});

test('noise lies at the far end of the scale, and cannot be told apart', async (context) => {
  const root = path.join(temporaryFolder(context), 'noise');
  const random = new SeededRandom(1, 'test');
  for (const kind of ['one', 'two']) {
    mkdirSync(path.join(root, kind), { recursive: true });
    for (let index = 0; index < 20; index++) {
      const pixels = Uint8Array.from({ length: 96 * 96 * 3 }, () => random.integer(256));
      await sharp(pixels, { raw: { width: 96, height: 96, channels: 3 } }).png().toFile(path.join(root, kind, `${String(index)}.png`));
    }
  }
  const { advice } = await adviceOn(root);
  const { nearness, probe } = advice.measurements;
  assert.ok(nearness !== undefined && nearness.mean < 0.35, JSON.stringify(nearness));
  assert.ok(probe.interval[0] < 0.55, JSON.stringify(probe));
  assert.equal(advice.decision.distance, 'far');
});

test('own weights whose features are maps, and say nothing: no nearness, and a probe at chance', async (context) => {
  const folder = temporaryFolder(context);
  const root = fewPictures(folder, ['animals', 'flags'], 8, 4);
  const home = path.join(folder, 'home');
  mkdirSync(home);
  symlinkSync(path.join(cacheFolder(), 'runtimes'), path.join(home, 'runtimes'));
  const state: StateDict = new Map(parameterSpecs(graphFor('squeezenet1_1', 3)).map(({ name, shape }) => [
    name, { dtype: 'float32', shape, data: new Float32Array(shape.reduce((product, size) => product * size, 1)) },
  ]));
  const file = path.join(folder, 'zeros.safetensors');
  writeFileSync(file, writeSafetensors(state));
  const added = jsonLines((await thaw(['weights', 'add', file, '--json'], { THAW_HOME: home })).stdout).at(-1);
  const outcome = await thaw(['advise', root, '--weights', String(added?.['name']), '--json'], { THAW_HOME: home });
  assert.equal(outcome.code, 0, outcome.stderr);
  const { measurements, decision } = v.parse(adviceSchema, jsonLines(outcome.stdout).at(-1));
  assert.deepEqual([measurements.nearness, measurements.headConfidence, decision.distance], [undefined, undefined, 'unknown']);
  assert.ok(measurements.probe.interval[0] <= 0.5, JSON.stringify(measurements.probe));
  assert.deepEqual(measurements.logme.map(({ backbone, cuts }) => [backbone, cuts.at(-1)?.channels]), [['squeezenet1_1', 512]]);
});

test('a folder without a picture that can be decoded is refused as training refuses it', async (context) => {
  const root = path.join(temporaryFolder(context), 'broken');
  for (const kind of ['one', 'two']) {
    mkdirSync(path.join(root, kind), { recursive: true });
    for (const name of ['a.png', 'b.png', 'c.png']) writeFileSync(path.join(root, kind, name), `no picture ${kind} ${name}`);
  }
  const outcome = await thaw(['advise', root, '--json']);
  assert.equal(outcome.code, 2);
  assert.equal(jsonLines(outcome.stdout).at(-1)?.['code'], 'too-few-images');
});

test('a class whose pictures are all broken is no class: refused as training refuses it', async (context) => {
  const root = path.join(temporaryFolder(context), 'half-broken');
  const [kind] = readdirSync(path.join(EMOJI, 'train')).sort();
  mkdirSync(path.join(root, 'one'), { recursive: true });
  mkdirSync(path.join(root, 'two'), { recursive: true });
  for (const name of readdirSync(path.join(EMOJI, 'train', kind!)).sort().slice(0, 12)) {
    copyFileSync(path.join(EMOJI, 'train', kind!, name), path.join(root, 'one', name));
    writeFileSync(path.join(root, 'two', name), `no picture ${name}`);
  }
  const codes = [];
  for (const command of [['advise', root], ['train', root, '--strategy', 'freeze', '--runs', path.join(root, '..', 'runs')]]) {
    const outcome = await thaw([...command, '--json']);
    assert.equal(outcome.code, 2, outcome.stderr);
    codes.push(jsonLines(outcome.stdout).at(-1)?.['code']);
  }
  assert.equal(codes[0], codes[1]);
});
