// Thaw beside PyTorch, the same work in the same call: `npm run bench [-- --only forward,step,freeze] [--pairs N] [--data FOLDER] [--python PYTHON]`.
// Prints the ratio of each pair (above 1: Thaw is faster) as minimum, median, maximum. PyTorch comes from PyPI into .bench/venv.
// freeze needs --data with train/ and val/ (Hymenoptera in our figures); it runs PyTorch for minutes.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import * as esbuild from 'esbuild';
import sharp from 'sharp';
import { main, ROOT, run, step, StepError } from '../scripts/steps.mjs';

const execute = promisify(execFile);
const WORK = path.join(ROOT, '.bench');
// PyPI's torch for Linux doesn't import without its CUDA wheels, even for a CPU: 4.6 GB in all.
const PACKAGES = ['torch==2.13.0', 'numpy', 'pillow'];

await main(async () => {
  const { values } = parseArgs({ options: {
    only: { type: 'string', default: 'forward,step,step-batch,freeze' }, pairs: { type: 'string', default: '5' }, data: { type: 'string' }, python: { type: 'string' },
  } });
  const only = values.only.split(',');
  const pairs = Number(values.pairs);
  fs.mkdirSync(WORK, { recursive: true });
  const python = values.python ?? await providePyTorch();
  await step('Bundle', () => esbuild.build({
    absWorkingDir: ROOT, entryPoints: ['bench/thaw.ts'], outfile: 'out/bench/thaw.js', bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['sharp'], logLevel: 'error',
  }).then(() => 'bench/thaw.ts'));
  const thaw = [process.execPath, path.join(ROOT, 'out/bench/thaw.js')];
  const peer = [python, path.join(ROOT, 'bench/pytorch.py')];
  const { stdout } = await execute(process.execPath, [path.join(ROOT, 'dist/cli.js'), 'setup', '--json']);
  const { weights } = JSON.parse(stdout.trim().split('\n').at(-1));

  console.log(`${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.availableParallelism()} cores`);
  for (const mode of ['forward', 'step', 'step-batch'].filter((name) => only.includes(name))) {
    const pixels = await samplePixels(values.data);
    const rows = [];
    for (let pair = 0; pair < pairs; pair++) {
      const [ours, theirs] = [await speak([...thaw, mode, pixels]), await speak([...peer, mode, weights.path, pixels])];
      rows.push({ ours: ours.imagesPerSecond, theirs: theirs.imagesPerSecond });
    }
    print(mode, 'images/s', rows, (row) => row.ours / row.theirs);
  }
  if (only.includes('freeze')) {
    if (values.data === undefined) throw new StepError('freeze needs --data FOLDER with train/ and val/');
    const home = fs.mkdtempSync(path.join(WORK, 'home-'));
    const environment = { ...process.env, THAW_HOME: home };
    linkRuntime(home);
    const command = [process.execPath, path.join(ROOT, 'dist/cli.js'), 'train', values.data, '--strategy', 'freeze', '--epochs', '15', '--runs', path.join(home, 'runs'), '--json'];
    const rows = [];
    try {
      const theirs = await timed([...peer, 'freeze', weights.path, values.data, '15']);
      for (let pair = 0; pair < pairs; pair++) {
        fs.rmSync(path.join(home, 'images'), { recursive: true, force: true });
        const cold = await timed(command, environment);
        const warm = await timed(command, environment);
        rows.push({ cold, warm, theirs });
      }
    } finally {
      fs.rmSync(home, { recursive: true, force: true });
    }
    for (const kind of ['cold', 'warm']) {
      print(`freeze, ${kind}`, 's, whole process', rows.map((row) => ({ ours: row[kind].seconds, theirs: row.theirs.seconds })), (row) => row.theirs / row.ours);
      console.log(`  accuracy ${rows[0][kind].result.accuracy.toFixed(3)} beside ${rows[0].theirs.result.accuracy.toFixed(3)}`);
    }
  }
});

function print(what, unit, rows, ratioOf) {
  const summary = (numbers) => {
    const sorted = [...numbers].sort((a, b) => a - b);
    return { least: sorted[0], median: sorted[Math.floor(sorted.length / 2)], most: sorted.at(-1) };
  };
  const [ours, theirs, ratio] = [summary(rows.map((row) => row.ours)), summary(rows.map((row) => row.theirs)), summary(rows.map(ratioOf))];
  console.log(`${what}: ratio ${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}, ${rows.length} pairs); Thaw ${ours.median.toFixed(1)}, PyTorch ${theirs.median.toFixed(1)} ${unit}`);
}

async function speak([command, ...args]) {
  const { stdout } = await execute(command, args, { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(stdout.trim().split('\n').at(-1));
}

async function timed([command, ...args], env = process.env) {
  const began = performance.now();
  const { stdout } = await execute(command, args, { env, maxBuffer: 64 * 1024 * 1024 });
  return { seconds: (performance.now() - began) / 1000, result: JSON.parse(stdout.trim().split('\n').at(-1)) };
}

/** 64 pictures of 256 × 256, real ones if there are any: weights behave differently on noise. */
async function samplePixels(folder) {
  const root = folder ?? path.join(ROOT, '.sample/emoji');
  const files = fs.readdirSync(root, { recursive: true }).filter((name) => /\.(jpe?g|png)$/i.test(name)).sort().slice(0, 64);
  if (files.length < 64) throw new StepError(`${root} holds fewer than 64 images: make the sample by npm start, or give --data`);
  const pixels = await Promise.all(files.map((name) => sharp(path.join(root, name)).flatten({ background: '#fff' }).resize(256, 256, { fit: 'cover', kernel: 'cubic' }).toColourspace('srgb').removeAlpha().raw().toBuffer()));
  const file = path.join(WORK, 'pixels.bin');
  fs.writeFileSync(file, Buffer.concat(pixels));
  return file;
}

/** A cache of its own, so that a cold run is cold, with the runtime and weights that are there. */
function linkRuntime(home) {
  const cache = process.env.THAW_HOME ?? path.join(process.env.XDG_CACHE_HOME ?? path.join(os.homedir(), '.cache'), 'thaw');
  for (const name of ['runtimes', 'weights']) fs.symlinkSync(path.join(cache, name), path.join(home, name));
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
