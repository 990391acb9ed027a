// docs/study.md and its summary, docs/study.json: bench/study.ts says how.
//   npm run bench:study -- [FOLDER…] [--minutes M] [--seeds N] [--strategies freeze,finetune] [--colour rgb,gray] [--document study|recipes] [--table]
import path from 'node:path';
import * as esbuild from 'esbuild';
import { build } from '../scripts/build.mjs';
import { makeSample } from '../scripts/sample.mjs';
import { main, ROOT, run } from '../scripts/steps.mjs';

await main(async () => {
  await build();
  makeSample();
  await esbuild.build({ absWorkingDir: ROOT, entryPoints: ['bench/study.ts'], outfile: 'out/bench/study.js', bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['sharp'], logLevel: 'error' });
  await run(process.execPath, [path.join(ROOT, 'out/bench/study.js'), ...process.argv.slice(2)]);
});
