// Recipes in place of the default, tried as `thaw train` does it; results in docs/trials.json, the table in docs/recipes.md:
//   npm run bench:trials -- FOLDER… [--only ID,…] [--seeds N] [--minutes M]      what trials.json holds already isn't trained again
//   npm run bench:trials -- --table                                              makes the table anew and trains nothing
import path from 'node:path';
import * as esbuild from 'esbuild';
import { build } from '../scripts/build.mjs';
import { main, ROOT, run } from '../scripts/steps.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  if (!args.includes('--table')) await build();
  await esbuild.build({ absWorkingDir: ROOT, entryPoints: ['bench/trials.ts'], outfile: 'out/bench/trials.js', bundle: true, platform: 'node', format: 'cjs', target: 'node20', external: ['sharp'], logLevel: 'error' });
  await run(process.execPath, [path.join(ROOT, 'out/bench/trials.js'), ...args]);
});
