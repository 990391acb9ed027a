// Damaged files of weights against their readers, as many as you like: npm run fuzz [-- --count 1000000 --seed 1]
// An input that breaks a reader is written to out/fuzz/failure.bin.
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { isMain, main, ROOT, StepError } from './steps.mjs';

async function fuzz() {
  const { values } = parseArgs({ options: { count: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } } });
  const [count, seed] = [Number(values.count), Number(values.seed)];
  if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(seed) || seed < 0) throw new StepError('--count and --seed are whole numbers');
  const folder = path.join(ROOT, 'out', 'fuzz');
  const bundle = path.join(folder, 'weightsFuzz.cjs');
  await build({
    absWorkingDir: ROOT, entryPoints: ['test/unit/weightsFuzz.ts'], outfile: bundle, bundle: true, platform: 'node', format: 'cjs', target: 'node20', packages: 'external', logLevel: 'error',
  });
  const { fuzzWeights } = await import(pathToFileURL(bundle).href);
  const began = performance.now();
  console.log(`Seed ${seed}, ${count} inputs`);
  try {
    const report = await fuzzWeights({ seed, count, onProgress: (so) => { if (so.inputs % 100_000 === 0) print(so, began); } });
    print(report, began);
  } catch (error) {
    if (error.input === undefined) throw error;
    const file = path.join(folder, 'failure.bin');
    fs.writeFileSync(file, error.input);
    console.error(error.cause ?? '');
    throw new StepError(`Seed ${seed}: ${error.message}. The input is ${file}`);
  }
}

function print({ inputs, readers, refusals, slowestMs, grownBytes }, began) {
  const each = Object.entries(readers).map(([name, reader]) => `${name} ${reader.read} of ${reader.inputs} read`).join(', ');
  console.log(`${inputs} inputs in ${((performance.now() - began) / 1000).toFixed(0)} s: ${each}, the others refused for ${refusals} reasons; slowest ${slowestMs.toFixed(1)} ms, memory grew by ${(grownBytes / 1024 ** 2).toFixed(0)} MiB`);
}

if (isMain(import.meta.url)) void main(fuzz);
