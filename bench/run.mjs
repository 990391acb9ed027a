// Thaw beside PyTorch, the same work in the same call:
//   npm run bench [-- --only forward,step,step-batch,freeze,predict] [--backbones NAME,…] [--pairs N] [--data FOLDER] [--python PYTHON] [--files N]
// Prints the ratio of each pair (above 1: Thaw is faster) as median, least and most. PyTorch comes from PyPI into .bench/venv. Networks whose
// published weights are not in the cache run on calibrated random ones, both sides on the same file.
// freeze needs --data with train/ and val/ (Hymenoptera in our figures) and runs PyTorch for minutes; predict classifies N files, 10,000 unless told.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import * as esbuild from 'esbuild';
import sharp from 'sharp';
import { main, ROOT, run, step, StepError } from '../scripts/steps.mjs';
import { linkEngine } from '../scripts/testHome.mjs';

const execute = promisify(execFile);
const WORK = path.join(ROOT, '.bench');
// PyPI's torch for Linux doesn't import without its CUDA wheels, even for a CPU: 4.6 GB in all.
const PACKAGES = ['torch==2.13.0', 'torchvision==0.28.0', 'numpy', 'pillow', 'safetensors'];
const BACKBONES = ['resnet18', 'resnet34', 'resnet50', 'mobilenet_v2', 'efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2', 'squeezenet1_1'];
/** Of these a finetuning step is timed too, unless others are named. */
const STEPS = ['resnet18', 'efficientnet_lite0'];
const PREDICTED = 10_000;

await main(async () => {
  const { values } = parseArgs({ options: {
    only: { type: 'string', default: 'forward,step,step-batch,freeze,predict' }, backbones: { type: 'string' }, pairs: { type: 'string', default: '5' },
    data: { type: 'string' }, python: { type: 'string' }, files: { type: 'string', default: String(PREDICTED) },
  } });
  const only = values.only.split(',');
  const pairs = Number(values.pairs);
  const named = values.backbones?.split(',');
  const unknown = named?.find((name) => !BACKBONES.includes(name));
  if (unknown !== undefined) throw new StepError(`There is no backbone ${unknown}; use some of ${BACKBONES.join(', ')}`);
  fs.mkdirSync(WORK, { recursive: true });
  const python = values.python ?? await providePyTorch();
  await step('Bundle', () => esbuild.build({
    absWorkingDir: ROOT, entryPoints: ['bench/thaw.ts'], outfile: 'out/bench/thaw.js', bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['sharp'], logLevel: 'error',
  }).then(() => 'bench/thaw.ts'));
  const thaw = [process.execPath, path.join(ROOT, 'out/bench/thaw.js')];
  const peer = [python, path.join(ROOT, 'bench/pytorch.py')];
  const cli = [process.execPath, path.join(ROOT, 'dist/cli.js')];
  await speak([...cli, 'setup', '--json']);

  // A cache of its own, with the runtime and the published weights that are there: calibrated weights are added to it, and a cold run is cold.
  const home = fs.mkdtempSync(path.join(WORK, 'home-'));
  const environment = { ...process.env, THAW_HOME: home };
  linkEngine(home);
  ownWeightsFolder(home);
  console.log(`${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.availableParallelism()} cores`);
  try {
    for (const mode of ['forward', 'step', 'step-batch'].filter((name) => only.includes(name))) {
      for (const name of named ?? (mode === 'forward' ? BACKBONES : STEPS)) {
        const weights = await provideWeights(name, { cli, peer, environment, home });
        const pixels = await samplePixels(values.data, name);
        const rows = [];
        for (let pair = 0; pair < pairs; pair++) {
          const [ours, theirs] = [await speak([...thaw, mode, name, weights.own ?? '-', pixels], environment), await speak([...peer, mode, name, weights.file, pixels])];
          rows.push({ ours: ours.imagesPerSecond, theirs: theirs.imagesPerSecond });
        }
        print(`${mode}, ${name}${weights.own === undefined ? '' : ' (calibrated)'}`, 'images/s', rows, (row) => row.ours / row.theirs);
      }
    }
    if (only.includes('freeze')) await benchFreeze({ data: values.data, pairs, cli, peer, environment, home });
    if (only.includes('predict')) await benchPredict({ data: values.data, count: Number(values.files), cli, thaw, environment });
  } finally {
    fs.rmSync(home, { recursive: true, force: true });
  }
});

async function benchFreeze({ data, pairs, cli, peer, environment, home }) {
  if (data === undefined) throw new StepError('freeze needs --data FOLDER with train/ and val/');
  const { file } = await provideWeights('efficientnet_lite0', { cli, peer, environment, home });
  const command = [...cli, 'train', data, '--strategy', 'freeze', '--epochs', '15', '--runs', path.join(home, 'runs'), '--json'];
  const theirs = await timed([...peer, 'freeze', 'efficientnet_lite0', file, data, '15']);
  const rows = [];
  for (let pair = 0; pair < pairs; pair++) {
    fs.rmSync(path.join(home, 'images'), { recursive: true, force: true });
    const cold = await timed(command, environment);
    const warm = await timed(command, environment);
    rows.push({ cold, warm, theirs });
  }
  for (const kind of ['cold', 'warm']) {
    print(`freeze, ${kind}`, 's, whole process', rows.map((row) => ({ ours: row[kind].seconds, theirs: row.theirs.seconds })), (row) => row.theirs / row.ours);
    console.log(`  accuracy ${rows[0][kind].result.accuracy.toFixed(3)} beside ${rows[0].theirs.result.accuracy.toFixed(3)}`);
  }
}

/** `thaw predict` on one image, and on 10,000 beside what its halves allow, each measured alone. */
async function benchPredict({ data, count, cli, thaw, environment }) {
  const root = path.resolve(data ?? path.join(ROOT, '.sample/emoji'));
  const work = fs.mkdtempSync(path.join(WORK, 'predict-'));
  try {
    const { run } = await speak([...cli, 'train', root, '--strategy', 'freeze', '--runs', path.join(work, 'runs'), '--json'], environment);
    const files = imagesIn(root);
    const folder = path.join(work, 'images');
    fs.mkdirSync(folder);
    for (let index = 0; index < count; index++) {
      const file = files[index % files.length];
      fs.copyFileSync(file, path.join(folder, `${String(index).padStart(5, '0')}${path.extname(file)}`));
    }
    const starts = [];
    for (let start = 0; start < 5; start++) starts.push((await timed([...cli, 'predict', run, files[start], '--json'], environment)).seconds);
    console.log(`predict, one image, whole process: ${median(starts).toFixed(2)} s (${Math.min(...starts).toFixed(2)} to ${Math.max(...starts).toFixed(2)})`);
    const forward = (await speak([...thaw, 'network', run], environment)).imagesPerSecond;
    const decoding = (await speak([...thaw, 'decode', run, folder], environment)).imagesPerSecond;
    const { result } = await timed([...cli, 'predict', run, folder, '--csv', path.join(work, 'out.csv'), '--json'], environment);
    const allowed = 1 / (1 / forward + 1 / decoding);
    console.log(`predict, ${count} files: ${result.imagesPerSecond.toFixed(1)} images/s, ${(result.imagesPerSecond / allowed).toFixed(2)} of the ${allowed.toFixed(1)} that ${forward.toFixed(1)} (network) and ${decoding.toFixed(1)} (decoding) allow; peak memory ${(result.peakMemoryBytes / 2 ** 20).toFixed(0)} MiB`);
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** A weights folder of its own in place of the link to the person's, with links to the published files: nothing is added to theirs. */
function ownWeightsFolder(home) {
  const folder = path.join(home, 'weights');
  const theirs = fs.realpathSync(folder);
  fs.rmSync(folder);
  fs.mkdirSync(folder);
  for (const name of fs.readdirSync(theirs).filter((file) => file.endsWith('.pth'))) fs.symlinkSync(path.join(theirs, name), path.join(folder, name));
}

/** The published weights if they are in the cache; else calibrated ones, added as own weights. */
async function provideWeights(name, { cli, peer, environment, home }) {
  const rows = await speak([...cli, 'weights', 'list', '--json'], environment);
  const published = rows.find((row) => row.name === name);
  if (published.present) return { file: (await speak([...cli, 'weights', 'get', name, '--json'], environment)).path };
  const file = path.join(home, `${name}.pth`);
  if (!fs.existsSync(file)) await speak([...peer, 'calibrated', name, file]);
  const added = await speak([...cli, 'weights', 'add', file, '--json'], environment);
  return { file, own: added.name };
}

function print(what, unit, rows, ratioOf) {
  const summary = (numbers) => {
    const sorted = [...numbers].sort((a, b) => a - b);
    return { least: sorted[0], median: sorted[Math.floor(sorted.length / 2)], most: sorted.at(-1) };
  };
  const [ours, theirs, ratio] = [summary(rows.map((row) => row.ours)), summary(rows.map((row) => row.theirs)), summary(rows.map(ratioOf))];
  console.log(`${what}: ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}, ${rows.length} pairs); Thaw ${ours.median.toFixed(1)}, PyTorch ${theirs.median.toFixed(1)} ${unit}`);
}

async function speak([command, ...args], env = process.env) {
  const { stdout } = await execute(command, args, { env, maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function timed([command, ...args], env = process.env) {
  const began = performance.now();
  const { stdout } = await execute(command, args, { env, maxBuffer: 64 * 1024 * 1024 });
  return { seconds: (performance.now() - began) / 1000, result: JSON.parse(stdout.trim().split('\n').at(-1)) };
}

/** 64 pictures as the network's cache holds them, real ones if there are any: weights behave differently on noise. */
async function samplePixels(folder, name) {
  const root = folder ?? path.join(ROOT, '.sample/emoji');
  const size = { efficientnet_lite1: 272, efficientnet_lite2: 292 }[name] ?? 256;
  const files = imagesIn(root).slice(0, 64);
  if (files.length < 64) throw new StepError(`${root} holds fewer than 64 images: make the sample by npm start, or give --data`);
  const pixels = await Promise.all(files.map((file) => sharp(file).flatten({ background: '#fff' }).resize(size, size, { fit: 'cover', kernel: 'cubic' }).toColourspace('srgb').removeAlpha().raw().toBuffer()));
  const file = path.join(WORK, `pixels-${String(size)}.bin`);
  fs.writeFileSync(file, Buffer.concat(pixels));
  return file;
}

function imagesIn(root) {
  return fs.readdirSync(root, { recursive: true }).filter((name) => /\.(jpe?g|png)$/i.test(name)).sort().map((name) => path.join(root, name));
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

async function providePyTorch() {
  const venv = path.join(WORK, 'venv');
  const python = path.join(venv, 'bin/python');
  if (!fs.existsSync(path.join(venv, 'ready'))) {
    await step('PyTorch', async () => {
      await run('python3', ['-m', 'venv', venv]);
      await run(python, ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
      fs.writeFileSync(path.join(venv, 'ready'), '');
    });
  }
  return python;
}
