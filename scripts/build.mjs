// Builds dist/: the extension, the trainer, the CLI, the panel, the addon, sharp and the notices. `--watch` builds again at every change.
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import * as esbuild from 'esbuild';
import { buildAddon } from './build-addon.mjs';
import { copyPackages, packageOf, withDependencies, writeNotices } from './packages.mjs';
import { isMain, main, ROOT, step, StepError } from './steps.mjs';

const DIST = path.join(ROOT, 'dist');

/** @type {import('esbuild').BuildOptions} */
const COMMON = {
  absWorkingDir: ROOT,
  bundle: true,
  metafile: true,
  sourcemap: 'linked',
  sourcesContent: false,
  logLevel: 'warning',
  logOverride: { 'equals-negative-zero': 'silent' }, // in tfjs
  legalComments: 'none', // all licences stand in THIRD_PARTY_NOTICES.txt
};
/** @type {import('esbuild').BuildOptions} */
const NODE = { ...COMMON, platform: 'node', format: 'cjs', target: 'node20', external: ['vscode', 'sharp'] };

/** @type {Record<string, import('esbuild').BuildOptions>} */
const BUNDLES = {
  extension: { ...NODE, entryPoints: { extension: 'src/extension/main.ts' }, outdir: 'dist' },
  trainer: { ...NODE, entryPoints: { trainer: 'src/trainer/main.ts' }, outdir: 'dist' },
  cli: { ...NODE, entryPoints: { cli: 'src/trainer/cli.ts' }, outdir: 'dist', banner: { js: '#!/usr/bin/env node' } },
  webview: {
    ...COMMON,
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
    minify: true,
    entryPoints: { webview: 'src/webview/main.ts' },
    outdir: 'dist',
  },
  style: { ...COMMON, target: 'es2022', minify: true, entryPoints: { webview: 'src/webview/panel.css' }, outdir: 'dist' },
};

/** The host never loads tensors and never decodes an image: its bundle holds neither. */
const KEPT_OUT_OF_EXTENSION = /^(?:@tensorflow\/|sharp$)/;

/** Builds everything once. */
export async function build() {
  fs.mkdirSync(DIST, { recursive: true });
  await step('Native addon', async () => {
    await buildAddon();
  });
  await step('Bundles', async () => {
    const results = await Promise.all(Object.values(BUNDLES).map((options) => esbuild.build(options)));
    finish(results.map(({ metafile }) => metafile));
    return Object.keys(BUNDLES).filter((name) => name !== 'style').join(', ');
  });
}

/** Builds everything and then again what changes, until `stop()`. `quiet`: says only what is wrong. */
export async function watch({ quiet = false } = {}) {
  await build();
  const contexts = await Promise.all(Object.values(BUNDLES).map((options) => esbuild.context({ ...options, logLevel: quiet ? 'warning' : 'info' })));
  await Promise.all(contexts.map((context) => context.watch()));
  return { stop: () => Promise.all(contexts.map((context) => context.dispose())) };
}

function finish(metafiles) {
  checkExtension(metafiles);
  fs.chmodSync(path.join(DIST, 'cli.js'), 0o755);
  const copied = copyPackages('sharp', path.join(DIST, 'node_modules'));
  const bundled = new Set(metafiles.flatMap(({ inputs }) => Object.keys(inputs)).map(packageOf).filter((name) => name !== undefined));
  // The addon is made of tfjs-node-gpu's source, and @tensorflow/tfjs arrives as one file with all that it needs in it.
  const within = ['@tensorflow/tfjs-node-gpu', ...withDependencies('@tensorflow/tfjs').keys()];
  writeNotices(path.join(DIST, 'THIRD_PARTY_NOTICES.txt'), [...bundled, ...copied, ...within]);
}

function checkExtension(metafiles) {
  const output = metafiles.flatMap(({ outputs }) => Object.entries(outputs)).find(([file]) => file === 'dist/extension.js');
  const intruders = Object.keys(output?.[1].inputs ?? {}).map(packageOf).filter((name) => name !== undefined && KEPT_OUT_OF_EXTENSION.test(name));
  const external = (output?.[1].imports ?? []).map((item) => item.path).filter((name) => KEPT_OUT_OF_EXTENSION.test(name));
  const found = [...new Set([...intruders, ...external])];
  if (found.length > 0) throw new StepError(`dist/extension.js would load ${found.join(', ')}: only the trainer may`);
}

if (isMain(import.meta.url)) {
  await main(async () => {
    const { values } = parseArgs({ options: { watch: { type: 'boolean', default: false } } });
    if (values.watch) await watch();
    else await build();
  });
}
