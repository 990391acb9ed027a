// Advice before training, held against what training then gives:
//   npm run bench:advice -- --data FOLDER [--minutes M] [--only CASE,…]   FOLDER holds hymenoptera/, dog_cat/
//                                                                          and digits/, which bench/digits.py makes
//   npm run bench:advice -- --table                                        rebuilds the table of docs/advice.md from bench/advice.json
//   npm run bench:advice -- --references --data FOLDER                     measures src/advice/references.json anew
// What bench/advice.json or the run folders in .bench/advice/ hold already isn't done again.
import path from 'node:path';
import * as esbuild from 'esbuild';
import { build } from '../scripts/build.mjs';
import { makeSample } from '../scripts/sample.mjs';
import { main, ROOT, run } from '../scripts/steps.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  if (!args.includes('--table')) {
    await build();
    makeSample();
  }
  await esbuild.build({ absWorkingDir: ROOT, entryPoints: ['bench/advice.ts'], outfile: 'out/bench/advice.js', bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['sharp'], logLevel: 'error' });
  await run(process.execPath, [path.join(ROOT, 'out/bench/advice.js'), ...args]);
});
