// Prediction for real: what `thaw predict` says of an image is what training said of it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { graphFor } from '../../src/network/architectures.js';
import { parameterSpecs } from '../../src/network/graph.js';
import { readSafetensors, writeSafetensors } from '../../src/network/weights/safetensors.js';
import type { StateDict } from '../../src/network/weights/stateDict.js';
import type { RunRecord } from '../../src/protocol/run.js';
import { readPredictions } from '../../src/runs/readRun.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { SeededRandom } from '../../src/training/random.js';
import { jsonLines, startThaw, temporaryFolder, thaw, trainResult, TWO_SPLITS } from './thaw.js';

interface PredictionLine {
  readonly type: string;
  readonly path: string;
  readonly label: string;
  readonly probability: number;
  readonly top: readonly { readonly label: string; readonly probability: number }[];
  readonly reason?: string;
}

for (const strategy of ['freeze', 'finetune'] as const) {
  test(`the probabilities are those that training stored, ${strategy}`, async (context) => {
    const folder = temporaryFolder(context);
    const { run } = await trainResult(TWO_SPLITS, folder, '--strategy', strategy, '--epochs', '1');
    const { data } = JSON.parse(readFileSync(path.join(run, 'run.json'), 'utf8')) as RunRecord;
    const stored = (await readPredictions(run)).slice(0, 40);
    const outcome = await thaw(['predict', run, ...stored.map((image) => path.join(TWO_SPLITS, image.path)), '--json']);
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.equal(outcome.stderr, '');
    const lines = jsonLines(outcome.stdout) as unknown as PredictionLine[];
    assert.equal(lines.pop()?.type, 'result');
    assert.equal(lines.length, stored.length);
    for (const [index, { path: file, truth, probabilities }] of stored.entries()) {
      const line = lines[index];
      assert.equal(line?.path, path.join(TWO_SPLITS, file));
      assert.equal(line.label, data?.classes[probabilities.indexOf(Math.max(...probabilities))], `${file}, a ${data?.classes[truth] ?? ''}`);
      for (const { label, probability } of line.top) {
        assert.ok(Math.abs(probability - (probabilities[data?.classes.indexOf(label) ?? -1] ?? NaN)) <= 1e-4, `${file}: ${label} ${String(probability)}`);
      }
    }
  });
}

test('a network whose head is a convolution: freeze on its maps is the whole network, and finetune moves every layer', async (context) => {
  const folder = temporaryFolder(context);
  const home = path.join(folder, 'home');
  for (const name of ['home', 'runs', 'pictures']) mkdirSync(path.join(folder, name));
  symlinkSync(path.join(cacheFolder(), 'runtimes'), path.join(home, 'runtimes')); // and weights of its own: what is added goes with it
  const environment = { THAW_HOME: home };
  // He et al. 2015: what goes in comes out about as large.
  const random = new SeededRandom(0, 'weights');
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
  const state: StateDict = new Map(parameterSpecs(graphFor('squeezenet1_1', 7)).map(({ name, shape, role }) => {
    const [outputs = 1, ...rest] = shape;
    const fanIn = rest.reduce((product, length) => product * length, 1);
    const data = Float32Array.from({ length: outputs * fanIn }, () => (role === 'weight' ? normal() * Math.sqrt(2 / fanIn) : 0));
    return [name, { dtype: 'float32', shape: [...shape], data }];
  }));
  const file = path.join(folder, 'mine.safetensors');
  writeFileSync(file, writeSafetensors(state));
  const added = jsonLines((await thaw(['weights', 'add', file, '--json'], environment)).stdout).at(-1);
  assert.match(String(added?.['name']), /^squeezenet1_1-[0-9a-f]{8}$/);

  for (const name of ['one', 'two']) mkdirSync(path.join(folder, 'pictures', name));
  for (const [index, from] of (await someImages(context)).slice(0, 40).entries()) {
    copyFileSync(from, path.join(folder, 'pictures', index % 2 === 0 ? 'one' : 'two', `${String(index)}${path.extname(from)}`));
  }
  for (const strategy of ['freeze', 'finetune'] as const) {
    const outcome = await thaw(['train', path.join(folder, 'pictures'), '--strategy', strategy, '--weights', String(added?.['name']), '--epochs', '2', '--runs', path.join(folder, 'runs'), '--json'], environment);
    assert.equal(outcome.code, 0, outcome.stderr);
    const run = String(jsonLines(outcome.stdout).at(-1)?.['run']);
    const record = JSON.parse(readFileSync(path.join(run, 'run.json'), 'utf8')) as RunRecord;
    assert.equal(record.configuration.backbone, 'squeezenet1_1');
    const stored = await readPredictions(run);
    const predicted = jsonLines((await thaw(['predict', run, ...stored.map((image) => path.join(folder, 'pictures', image.path)), '--json'], environment)).stdout) as unknown as PredictionLine[];
    for (const [index, { path: name, probabilities }] of stored.entries()) {
      for (const { label, probability } of predicted[index]?.top ?? []) {
        const exact = probabilities[record.data?.classes.indexOf(label) ?? -1] ?? NaN;
        assert.ok(Math.abs(probability - exact) <= 1e-4, `${strategy}, ${name}: ${label} ${String(probability)}, stored ${String(exact)}`);
      }
    }
    const trained = readSafetensors(readFileSync(path.join(run, 'model', 'model.safetensors'))).state;
    for (const { name, node } of parameterSpecs(graphFor('squeezenet1_1', 2))) {
      const [before, after] = [state.get(name), trained.get(name)];
      const moved = node === 'classifier.1' || !isDeepStrictEqual(before?.data, after?.data);
      assert.equal(moved, strategy === 'finetune' || node === 'classifier.1', `${strategy}: ${name}`);
    }
  }
});

test('a folder becomes a CSV file; what can\'t be decoded is named in it', async (context) => {
  const folder = temporaryFolder(context);
  const source = path.join(folder, 'pictures');
  const stored = path.join(folder, 'runs');
  for (const [name, from] of [['a, "quoted"', 0], ['=1+1', 10]] as const) {
    mkdirSync(path.join(source, name), { recursive: true });
    const files = await someImages(context);
    for (const [index, file] of files.slice(from, from + 10).entries()) copyFileSync(file, path.join(source, name, `${String(index)}${path.extname(file)}`));
  }
  const { run } = await trainResult(source, stored, '--strategy', 'freeze', '--epochs', '1');
  const unlabelled = path.join(folder, 'unlabelled');
  mkdirSync(path.join(unlabelled, 'inner'), { recursive: true });
  const [first, second] = await someImages(context);
  copyFileSync(first ?? '', path.join(unlabelled, 'inner', `one, two${path.extname(first ?? '')}`));
  copyFileSync(second ?? '', path.join(unlabelled, `three${path.extname(second ?? '')}`));
  writeFileSync(path.join(unlabelled, 'broken.jpg'), 'not a picture');
  writeFileSync(path.join(unlabelled, 'notes.txt'), 'no image, and not named');
  writeFileSync(path.join(unlabelled, '.hidden.jpg'), 'hidden');

  const csv = path.join(folder, 'new', 'out.csv');
  const outcome = await thaw(['predict', run, unlabelled, '--csv', csv, '--json']);
  assert.equal(outcome.code, 0, outcome.stderr);
  const result = jsonLines(outcome.stdout).at(-1);
  assert.deepEqual([result?.['images'], result?.['unreadable'], result?.['csv']], [2, 1, csv]);
  const rows = parseCsv(readFileSync(csv, 'utf8'));
  assert.deepEqual(rows.map((row) => row.length), [12, 12, 12, 12]);
  assert.deepEqual(rows.slice(1).map(([name]) => path.basename(name ?? '').replace(/\.\w+$/, '')), ['broken', 'one, two', 'three']);
  assert.match(rows[1]?.at(-1) ?? '', /^Not an image/);
  for (const row of rows.slice(2)) {
    assert.deepEqual([row[1], row[3]].sort(), ['=1+1', 'a, "quoted"']);
    assert.ok(Math.abs(Number(row[2]) + Number(row[4]) - 1) < 1e-5);
  }
  assert.ok(!existsSync(`${csv}.part`));

  const onTerminal = await thaw(['predict', run, first ?? '']);
  assert.equal(onTerminal.code, 0);
  assert.match(onTerminal.stdout, /^.*  (?:=1\+1|a, "quoted") (?:\.\d{3}|1\.000)  \(.*\)\n$/);
});

test('what can\'t be classified, and with what, is said: exit 2', async (context) => {
  const folder = temporaryFolder(context);
  const [image] = await someImages(context);
  const missing = await thaw(['predict', path.join(folder, 'nowhere'), image ?? '', '--json']);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /There is no run/);

  const running = startThaw(['train', TWO_SPLITS, '--strategy', 'finetune', '--runs', folder, '--json']);
  const { run } = await running.lineWhere((line) => line['type'] === 'run');
  const early = await thaw(['predict', String(run), image ?? '']);
  running.child.kill('SIGINT');
  await running.ended;
  assert.equal(early.code, 2);
  assert.match(early.stderr, /has no trained model: it is/);

  const { run: finished } = await trainResult(TWO_SPLITS, folder, '--strategy', 'freeze', '--epochs', '1');
  const nothing = await thaw(['predict', finished, path.join(folder, 'no.jpg')]);
  assert.equal(nothing.code, 2);
  assert.match(nothing.stderr, /There is no image or folder .*no\.jpg/);
  const empty = path.join(folder, 'empty');
  mkdirSync(empty);
  assert.equal((await thaw(['predict', finished, empty])).code, 2);

  const weights = path.join(finished, 'model', 'model.safetensors');
  writeFileSync(weights, readFileSync(weights).subarray(0, 100_000));
  const damaged = await thaw(['predict', finished, image ?? '']);
  assert.notEqual(damaged.code, 0);
  assert.doesNotMatch(damaged.stderr, /\n\s+at /, 'a sentence, not a stack');
});

test('a reader that has read enough ends it without an error', async (context) => {
  const { run } = await trainResult(TWO_SPLITS, temporaryFolder(context), '--strategy', 'freeze', '--epochs', '1');
  const shell = spawn('sh', ['-c', '"$0" "$@" | head -n 1', process.execPath, path.resolve('dist/cli.js'), 'predict', run, ...await someImages(context), '--json', '--thumbnails'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) shell[name].setEncoding('utf8').on('data', (text: string) => { said[name] += text; });
  assert.deepEqual(await once(shell, 'close'), [0, null]);
  assert.equal(said.stderr, '');
  assert.match(said.stdout, /^\{"type":"prediction".*\}\n$/);
});

/** The validation images of the dataset at hand. */
async function someImages(context: Parameters<typeof temporaryFolder>[0]): Promise<string[]> {
  images ??= (async () => {
    const { run } = await trainResult(TWO_SPLITS, temporaryFolder(context), '--strategy', 'freeze', '--epochs', '1');
    return (await readPredictions(run)).map((image) => path.join(TWO_SPLITS, image.path));
  })();
  return images;
}
let images: Promise<string[]> | undefined;

/** RFC 4180. */
function parseCsv(text: string): string[][] {
  assert.ok(text.endsWith('\r\n'));
  return text.slice(0, -2).split('\r\n').map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ''));
}
