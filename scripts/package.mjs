// Builds and packs thaw-linux-x64-VERSION.vsix, and holds it to what it may weigh and contain. `--built`: what dist/ holds; `--out`: a folder.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { installPackages } from './setup.mjs';
import { isMain, main, ROOT, step, StepError } from './steps.mjs';

/** The addon and sharp's library are for one platform, so the package is too. */
const TARGET = 'linux-x64';
const MOST_BYTES = 25_000_000;
const NEEDED = [
  'extension/dist/extension.js', 'extension/dist/trainer.js', 'extension/dist/cli.js', 'extension/dist/webview.js', 'extension/dist/webview.css',
  'extension/l10n/bundle.l10n.json', 'extension/dist/tfjs_binding.node', 'extension/dist/THIRD_PARTY_NOTICES.txt', 'extension/dist/node_modules/sharp/package.json',
  'extension/dist/node_modules/@img/sharp-linux-x64/package.json', 'extension/dist/node_modules/@img/sharp-libvips-linux-x64/package.json',
];
/** Sources, tests, the sample and maps of sources. */
const UNWANTED = /^extension\/(?:src|test|scripts|bench|out|docs|node_modules|\.|dist\/[^/]*\.map$)/;

/** Packs what is built already; returns the file. */
export async function pack(folder = ROOT) {
  const { version } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8'));
  const file = path.join(folder, `thaw-${TARGET}-${version}.vsix`);
  if (`${process.platform}-${process.arch}` !== TARGET) throw new StepError(`The package for ${TARGET} is made on ${TARGET}, this is ${process.platform}-${process.arch}`);
  const { createVSIX } = await import('@vscode/vsce');
  await createVSIX({ cwd: ROOT, packagePath: file, target: TARGET, dependencies: false, allowMissingRepository: true, rewriteRelativeLinks: false });
  const { size } = fs.statSync(file);
  if (size > MOST_BYTES) throw new StepError(`${path.basename(file)} has ${size} bytes, more than ${MOST_BYTES}`);
  const entries = await listEntries(file);
  const missing = NEEDED.filter((name) => !entries.includes(name));
  const unwanted = entries.filter((name) => UNWANTED.test(name));
  if (missing.length > 0) throw new StepError(`${path.basename(file)} lacks ${missing.join(', ')}`);
  if (unwanted.length > 0) throw new StepError(`${path.basename(file)} holds ${unwanted.slice(0, 5).join(', ')}, which no user needs`);
  return { file, size };
}

async function listEntries(file) {
  const { openPromise } = await import('yauzl');
  const zip = await openPromise(file);
  const names = [];
  try {
    for await (const entry of zip.eachEntry()) names.push(entry.fileName);
  } finally {
    zip.close();
  }
  return names;
}

if (isMain(import.meta.url)) {
  void main(async () => {
    const { values } = parseArgs({ options: { built: { type: 'boolean', default: false }, out: { type: 'string' } } });
    await installPackages();
    if (!values.built) {
      const { build } = await import('./build.mjs');
      await build();
    }
    await step('Package', async () => {
      const { file, size } = await pack(values.out);
      return `${path.relative(ROOT, file)}, ${(size / 1e6).toFixed(1)} MB`;
    });
  });
}
