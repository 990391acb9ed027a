// Everything that must hold: set-up, lint, types, build, and every suite. Ends with one line, `N passed, N failed, N skipped`.
//   npm test [-- --only unit,numeric,trainer,host,ui] [--grep TEXT] [--vscode 1.100]
// The tests have a home of their own (THAW_HOME), which shares the person's TensorFlow and weights and nothing else.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { provideChromium } from './chromium.mjs';
import { underNewerNode } from './newerNode.mjs';
import { makeSample } from './sample.mjs';
import { installPackages, provideEngine } from './setup.mjs';
import { isMain, main, ROOT, run, step, StepError } from './steps.mjs';
import { linkEngine, trainersUnder } from './testHome.mjs';
import { installHost, VERSIONS } from './vscodeServer.mjs';

/** In this order. `parallel`: files beside each other; the others use the engine, which takes every core. `vscode`: once for each version. */
const SUITES = {
  unit: { parallel: true, timeout: 120_000 },
  numeric: { timeout: 300_000 },
  trainer: { timeout: 1_800_000 },
  host: { vscode: true, timeout: 400_000 },
  ui: { vscode: true, timeout: 1_200_000 },
};
/** In the newest VS Code that is tested, and not again in the others: it sets TensorFlow up; it needs no VS Code at all. */
const ONCE = new Set(['package.test.cjs', 'webview.test.cjs', 'layersModel.test.cjs']);
const OUT = path.join(ROOT, 'out');
/** Of a person's own THAW_ variables those that are for the tests. */
const INHERITED = new Set(['THAW_SHOTS', 'THAW_SLOW_TESTS', 'THAW_TEST_PYTHON']);
const CI = process.env.CI === 'true';

async function test() {
  const { values } = parseArgs({ options: { only: { type: 'string' }, grep: { type: 'string' }, vscode: { type: 'string' } } });
  const wanted = values.only?.split(',') ?? Object.keys(SUITES);
  const unknown = wanted.filter((name) => !Object.hasOwn(SUITES, name));
  if (unknown.length > 0) throw new StepError(`There is no suite ${unknown.join(', ')}; there are ${Object.keys(SUITES).join(', ')}`);
  const versions = values.vscode === undefined ? VERSIONS : [values.vscode];
  const started = performance.now();
  const tally = new Tally();
  try {
    await runAll(tally, { wanted, versions, checks: values.only === undefined, grep: values.grep });
  } catch (error) {
    console.error(error instanceof StepError ? `\n${error.message}` : error);
    tally.add('fail', error instanceof Error ? error.message : String(error));
  }
  if (values.grep !== undefined && tally.counts.pass + tally.counts.fail === 0) tally.add('fail', `no test matches ${values.grep}`);

  if (tally.failures.length > 0) console.log(`\nFailed:\n${tally.failures.map((name) => `  ${name}`).join('\n')}`);
  console.log(`\nAll took ${((performance.now() - started) / 60_000).toFixed(1)} min.`);
  console.log(`${tally.counts.pass} passed, ${tally.counts.fail} failed, ${tally.counts.skip} skipped`);
  if (tally.counts.fail > 0) process.exitCode = 1;
}

async function runAll(tally, { wanted, versions, checks, grep }) {
  await installPackages();
  if (checks) await check(tally);
  await build();
  await provideEngine();
  checkData();
  const needsVscode = wanted.some((name) => SUITES[name].vscode);
  const chromium = needsVscode ? await provideBrowserAndHosts(versions) : undefined;

  const base = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-test-'));
  try {
    const environment = {
      ...testEnvironment(base),
      ...(chromium !== undefined && { CHROMIUM: chromium }),
    };
    for (const suite of Object.keys(SUITES).filter((name) => wanted.includes(name))) {
      if (!SUITES[suite].vscode) await runSuite(tally, suite, { environment, base, grep });
      else if (chromium === undefined) tally.add(CI ? 'fail' : 'skip', `${suite}: no Chromium found`);
      else for (const version of versions) await runSuite(tally, suite, { environment, base, grep, version, newest: versions[0] });
    }
  } finally {
    for (const { pid } of trainersUnder(base)) process.kill(pid, 'SIGKILL');
    fs.rmSync(base, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** Counts over all suites together. */
class Tally {
  counts = { pass: 0, fail: 0, skip: 0 };
  failures = [];

  add(outcome, name) {
    this.counts[outcome] += 1;
    if (outcome === 'fail') this.failures.push(name);
  }
}

/** Lint and types beside each other; each is one failure when it fails. */
async function check(tally) {
  await step('Lint and types', async () => {
    const bin = (name) => path.join(ROOT, 'node_modules', ...name);
    const results = await Promise.all([
      run(process.execPath, [bin(['eslint', 'bin', 'eslint.js']), '.'], { accept: [0, 1] }).then((code) => ['lint', code]),
      run(process.execPath, [bin(['typescript', 'bin', 'tsc']), '--noEmit'], { accept: [0, 1, 2] }).then((code) => ['types', code]),
    ]);
    for (const [name, code] of results) if (code !== 0) tally.add('fail', name);
  });
}

async function build() {
  const { build: buildAll } = await import('./build.mjs');
  await buildAll();
}

/** Photographs beside the checkout where there are some; elsewhere the tests that want them use the sample instead. */
function photographs() {
  const folder = path.resolve(ROOT, '..', 'shared', 'data');
  return fs.existsSync(path.join(folder, 'hymenoptera')) ? folder : undefined;
}

function checkData() {
  if (photographs() !== undefined) return;
  if (CI) throw new StepError('../shared/data is missing: with CI=true that is a failure');
  console.log('  No photographs in ../shared/data: tests use the sample dataset instead.');
}

/**
 * What every suite is given, in a folder that is gone afterwards. A person's own THAW_ variables don't reach the tests.
 * THAW_TEST_SAMPLE: the sample dataset; THAW_TEST_DATA: photographs, where there are some; THAW_TEST_BASE: room for folders.
 */
export function testEnvironment(base) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('THAW_') || INHERITED.has(name));
  const shared = photographs();
  return {
    ...Object.fromEntries(inherited),
    THAW_HOME: linkEngine(path.join(base, 'home')),
    THAW_TEST_BASE: base,
    THAW_TEST_SAMPLE: makeSample(),
    ...(shared !== undefined && { THAW_TEST_DATA: shared }),
  };
}

async function provideBrowserAndHosts(versions) {
  let chromium;
  await step('Chromium', async () => {
    chromium = await provideChromium();
    return chromium ?? 'none found: tests in VS Code can\'t run';
  });
  if (chromium !== undefined) for (const version of versions) await step(`VS Code ${version}`, () => installHost(version));
  return chromium;
}

async function runSuite(tally, suite, { environment, base, grep, version, newest }) {
  const label = version === undefined ? suite : `${suite} on VS Code ${version}`;
  let files = await bundle(suite);
  if (version !== newest) files = files.filter((file) => !ONCE.has(path.basename(file)));
  if (files.length === 0) {
    tally.add('fail', `${label}: no test file`);
    return;
  }
  await step(label, async () => {
    const before = { ...tally.counts };
    const outcomes = path.join(base, `${suite}-${version ?? ''}.jsonl`);
    const env = { ...environment, TEST_OUTCOMES: outcomes, ...(version !== undefined && { VSCODE_HOST: version }) };
    const { parallel = false, timeout } = SUITES[suite];
    if (suite === 'host') await runHost({ ...env, ...(grep !== undefined && { TEST_GREP: grep }) }, version, outcomes, base, timeout, tally);
    else for (const group of parallel ? [files] : files.map((file) => [file])) await runFiles(group, env, grep, timeout, tally, outcomes);
    for (const { outcome, name } of readLines(outcomes)) tally.add(outcome, `${label}: ${name}`);
    const total = ['pass', 'fail', 'skip'].map((kind) => tally.counts[kind] - before[kind]);
    if (total[0] + total[1] + total[2] === 0 && grep === undefined) tally.add('fail', `${label}: no test ran`);
    await failOnTrainers(tally, label, base);
    return `${total[0]} passed, ${total[1]} failed, ${total[2]} skipped`;
  });
}

/** Runs files by node's own test runner. Whatever it dislikes without naming a test is a failure of its own. */
async function runFiles(files, env, grep, timeout, tally, outcomes) {
  const args = [
    '--enable-source-maps', '--test', ...(newerThan(20, 11) ? [`--test-timeout=${timeout}`] : []),
    `--test-reporter=${path.join(ROOT, 'scripts', 'testReporter.mjs')}`, '--test-reporter-destination=stdout',
    ...(grep === undefined ? [] : [`--test-name-pattern=${grep}`]),
    ...(newerThan(20, 10) ? [`--test-concurrency=${os.availableParallelism()}`] : []),
    ...files,
  ];
  const failuresBefore = readLines(outcomes).filter(({ outcome }) => outcome === 'fail').length;
  const code = await run(process.execPath, args, { env, accept: [0, 1] }).catch((error) => error.message);
  const failures = readLines(outcomes).filter(({ outcome }) => outcome === 'fail').length - failuresBefore;
  if (code !== 0 && failures === 0) tally.add('fail', `${files.map((file) => path.basename(file)).join(', ')} ended with ${code}`);
}

function newerThan(major, minor) {
  const [ours, oursMinor] = process.versions.node.split('.').map(Number);
  return ours > major || (ours === major && oursMinor >= minor);
}

async function runHost(env, version, outcomes, base, timeout, tally) {
  const workspace = makeWorkspace(path.join(base, `host-${version}`));
  const args = [
    '--enable-source-maps', path.join(OUT, 'harness', 'hostRunner.cjs'),
    '--host', version, '--tests', path.join(OUT, 'host', 'hostSuite.cjs'), '--workspace', workspace, '--results', outcomes,
  ];
  const code = await run(process.execPath, args, { env, accept: [0, 1], timeout }).catch((error) => error.message);
  if (code !== 0 && readLines(outcomes).every(({ outcome }) => outcome !== 'fail')) tally.add('fail', `host runner on ${version} ended with ${code}`);
}

/** A folder as a person would open it: pictures of three kinds, a note. */
export function makeWorkspace(folder) {
  for (const kind of ['animals', 'food', 'vehicles']) {
    const from = path.join(makeSample(), 'train', kind);
    const to = path.join(folder, 'pictures', kind);
    fs.mkdirSync(to, { recursive: true });
    for (const name of fs.readdirSync(from).sort().slice(0, 24)) fs.copyFileSync(path.join(from, name), path.join(to, name));
  }
  fs.writeFileSync(path.join(folder, 'notes.txt'), 'No picture.\n');
  return folder;
}

/** The objects of a file with one on each line; none when there is no file. */
export function readLines(file) {
  if (!fs.existsSync(file)) return [];
  return fs.readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
}

/** Bundles test/<suite>/**\/*.test.ts to out/<suite>/; returns the files to run. */
export async function bundle(suite) {
  const folder = path.join(ROOT, 'test', suite);
  const sources = fs.existsSync(folder) ? fs.readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.test.ts')).sort() : [];
  const entries = sources.map((file) => ({ in: path.join(folder, file), out: path.join(suite, file.replace(/\.ts$/, '')) }));
  if (suite === 'host') {
    entries.push({ in: path.join(ROOT, 'test', 'harness', 'hostSuite.ts'), out: path.join('host', 'hostSuite') });
    entries.push({ in: path.join(ROOT, 'test', 'harness', 'hostRunner.ts'), out: path.join('harness', 'hostRunner') });
  }
  const { build: bundleAll } = await import('esbuild');
  fs.rmSync(path.join(OUT, suite), { recursive: true, force: true });
  await bundleAll({
    absWorkingDir: ROOT,
    entryPoints: entries,
    outdir: OUT,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    packages: 'external',
    external: ['vscode'],
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'warning',
    logOverride: { 'empty-import-meta': 'silent' }, // scripts/steps.mjs knows
  });
  return sources.map((file) => path.join(OUT, suite, file.replace(/\.ts$/, '.cjs')));
}

/** A test stops the trainers that it started: one that is left is a failure, and is ended. */
async function failOnTrainers(tally, label, base) {
  const deadline = Date.now() + 5000;
  while (trainersUnder(base).length > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const { pid, command } of trainersUnder(base)) {
    tally.add('fail', `${label}: left a trainer alive: ${command}`);
    process.kill(pid, 'SIGKILL');
  }
}

if (isMain(import.meta.url)) {
  void main(async () => {
    const elsewhere = await underNewerNode(fileURLToPath(import.meta.url));
    if (elsewhere === undefined) await test();
    else process.exitCode = elsewhere;
  });
}
