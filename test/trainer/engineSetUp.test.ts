// Providing TensorFlow, with the machine's own Python and pip on a small package in a folder: what arrives, what is said when it can't, and
// that nothing half-finished is ever taken for a runtime.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ADDON_FILE, LIBRARY_FILES, LIBRARY_FOLDER, type PackagePins, type RuntimePins } from '../../src/engine/pins.js';
import { fetchWheel, type DownloadProgress, type WheelSpec } from '../../src/engine/pipWheel.js';
import { provideRuntime, wheelFolder, type ProvideOptions } from '../../src/engine/provide.js';
import { findRuntime, providedRuntimeFolder } from '../../src/engine/runtime.js';
import { ThawError } from '../../src/protocol/errors.js';
import { buildChild } from './thaw.js';

let index: string;
let spec: WheelSpec;
let folder: string;

/** A wheel as the index would hold it, by Python's own zipfile. */
const MAKE_WHEEL = `
import sys, zipfile
path, name, version, *files = sys.argv[1:]
with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
    for file in files:
        wheel.writestr(file, file * 20000)
    info = f"{name}-{version}.dist-info"
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

before(() => {
  index = mkdtempSync(path.join(tmpdir(), 'thaw-index-'));
  const file = 'thaw_test_library-1.0-py3-none-any.whl';
  const wheel = path.join(index, file);
  execFileSync('python3', ['-c', MAKE_WHEEL, wheel, 'thaw_test_library', '1.0', ...LIBRARY_FILES.map((name) => `${LIBRARY_FOLDER}/${name}`), 'tensorflow/python.py']);
  const content = readFileSync(wheel);
  spec = { project: 'thaw-test-library', version: '1.0', file, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length, platforms: 'any' };
});
after(() => { rmSync(index, { recursive: true, force: true }); });
beforeEach(() => { folder = mkdtempSync(path.join(tmpdir(), 'thaw-set-up-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

/** This machine's Python, the folder as its only index. */
function environment(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { PATH, HOME, PYENV_ROOT } = process.env;
  return { PATH, HOME, PYENV_ROOT, PIP_CONFIG_FILE: '/dev/null', PIP_NO_INDEX: '1', PIP_FIND_LINKS: index, THAW_HOME: path.join(folder, 'home'), ...changes };
}

function withCode(code: string, words?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ThawError, String(error));
    assert.equal(error.code, code, `${error.message} ${String((error.cause as Error | undefined)?.message)}`);
    assert.notEqual(error.next, '');
    if (words !== undefined) assert.match(error.message, words);
    return true;
  };
}

/** A folder for PATH with a `python3` that is this shell script. */
function pretendPython(script: string): string {
  const bin = path.join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(path.join(bin, 'python3'), `#!/bin/sh\n${script}\n`);
  chmodSync(path.join(bin, 'python3'), 0o755);
  return bin;
}

test('pip fetches the pinned wheel, and nothing else is left', async () => {
  const reports: DownloadProgress[] = [];
  const target = path.join(folder, 'wheels');
  const file = await fetchWheel(spec, { folder: target, environment: environment(), onProgress: (report) => reports.push(report) });
  assert.equal(file, path.join(target, spec.file));
  assert.ok(readFileSync(file).equals(readFileSync(path.join(index, spec.file))));
  assert.deepEqual(readdirSync(target), [spec.file]);
  assert.deepEqual(reports.at(-1), { what: 'thaw-test-library 1.0', doneBytes: spec.bytes, totalBytes: spec.bytes });
  assert.ok(reports.every(({ doneBytes }) => doneBytes <= spec.bytes));
});

test('a wheel that is there already is taken without pip, a damaged one is fetched anew', async () => {
  const options = { folder, environment: environment() };
  const file = await fetchWheel(spec, options);
  assert.equal(await fetchWheel(spec, { folder, environment: { PATH: '' } }), file);
  truncateSync(file, 10);
  assert.equal(statSync(await fetchWheel(spec, options)).size, spec.bytes);
});

test('a pip.py of the person\'s own folders does not run', async () => {
  const trap = path.join(folder, 'trap');
  mkdirSync(trap);
  writeFileSync(path.join(trap, 'pip.py'), `open(${JSON.stringify(path.join(folder, 'sprung'))}, 'w')\n`);
  const home = process.cwd();
  process.chdir(trap);
  try {
    await fetchWheel(spec, { folder: path.join(folder, 'wheels'), environment: environment({ PYTHONPATH: trap, PYTHONSTARTUP: path.join(trap, 'pip.py') }) });
  } finally {
    process.chdir(home);
  }
  assert.equal(existsSync(path.join(folder, 'sprung')), false);
});

test('what can go wrong is said in a sentence, and leaves nothing', async () => {
  const target = path.join(folder, 'wheels');
  const fails = (change: Partial<WheelSpec>, changes: NodeJS.ProcessEnv, code: string, words?: RegExp): Promise<void> =>
    assert.rejects(fetchWheel({ ...spec, ...change }, { folder: target, environment: environment(changes) }), withCode(code, words));
  await fails({ sha256: '0'.repeat(64) }, {}, 'wheel-damaged', /SHA-256/);
  await fails({ version: '9.9' }, {}, 'not-on-index', /no thaw-test-library 9\.9/);
  // Nothing listens on port 9 (discard): the connection is refused at once, without a name to look up.
  await fails({}, { PIP_NO_INDEX: undefined, PIP_FIND_LINKS: undefined, PIP_INDEX_URL: 'http://127.0.0.1:9/simple' }, 'no-network', /Connection refused/);
  await fails({}, { PATH: path.join(folder, 'nothing') }, 'no-python');
  await fails({}, { PATH: pretendPython('exit 3') }, 'no-python', /3\.8/);
  await fails({}, { PATH: pretendPython('exit 4') }, 'no-pip');
  await fails({ bytes: 2 ** 55 }, {}, 'disk-full', /needed/);
  await fails({ platforms: ['manylinux_9_99_x86_64'] }, {}, 'old-glibc', /9\.99/);
  if (existsSync(target)) assert.deepEqual(readdirSync(target), []);
  writeFileSync(path.join(folder, 'file'), '');
  await assert.rejects(fetchWheel(spec, { folder: path.join(folder, 'file', 'wheels'), environment: environment() }), withCode('cache-not-writable'));
});

test('cancelling ends pip and what it started', async () => {
  const pids = path.join(folder, 'pids');
  const bin = pretendPython(`case "$*" in *find_spec*) exit 0;; esac\nsleep 300 &\necho $$ $! > ${pids}.new && mv ${pids}.new ${pids}\nwait`);
  const controller = new AbortController();
  const target = path.join(folder, 'wheels');
  const fetching = fetchWheel(spec, { folder: target, environment: environment({ PATH: `${bin}:${process.env['PATH'] ?? ''}` }), signal: controller.signal });
  const failing = assert.rejects(fetching, withCode('cancelled'));
  while (!existsSync(pids)) await sleep(10);
  controller.abort();
  await failing;
  for (const pid of readFileSync(pids, 'utf8').trim().split(' ').map(Number)) {
    await assert.doesNotReject(async () => { while (isAlive(pid)) await sleep(10); });
  }
  assert.deepEqual(readdirSync(target), []);
});

/** Running: neither gone nor a zombie that nobody has waited for. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !existsSync(`/proc/${pid}/stat`) || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Set-up of the small package; its self-check is a script that looks for the libraries and the addon where it is pointed to. */
function setUpOptions(changes: Partial<ProvideOptions> = {}): ProvideOptions & { environment: NodeJS.ProcessEnv } {
  const addon = path.join(folder, ADDON_FILE);
  writeFileSync(addon, 'addon');
  const script = path.join(folder, 'check.cjs');
  writeFileSync(script, `
    const { statSync } = require('node:fs');
    if (process.argv[2] !== '--self-check') throw new Error('called wrongly');
    for (const file of ${JSON.stringify([...LIBRARY_FILES, ADDON_FILE])}) statSync(process.env.THAW_RUNTIME + '/${LIBRARY_FOLDER}/' + file);
  `);
  const pins: RuntimePins = { packages: [{ wheel: spec, files: LIBRARY_FILES.map((name) => ({ path: `${LIBRARY_FOLDER}/${name}`, bytes: `${LIBRARY_FOLDER}/${name}`.length * 20_000 })) }] };
  return { addon, pins, selfCheck: { execPath: process.execPath, script }, environment: environment(), ...changes };
}

/** As after a build: the wheel waits in the cache, and no pip is needed (seconds each time). */
function placeWheel(options: { environment: NodeJS.ProcessEnv }): void {
  const wheels = wheelFolder(options.environment);
  mkdirSync(wheels, { recursive: true });
  copyFileSync(path.join(index, spec.file), path.join(wheels, spec.file));
}

test('set-up fetches, unpacks, checks and puts in place; again it only checks', async () => {
  const messages = new Set<string>();
  const options = setUpOptions({ onProgress: ({ message }) => messages.add(message.replace(/ TensorFlow.*/, '')) });
  const runtime = await provideRuntime(options);
  assert.deepEqual([...messages], ['Fetching', 'Unpacking', 'Checking']);
  assert.deepEqual(runtime, findRuntime(options));
  assert.deepEqual(readdirSync(path.join(runtime.directory, LIBRARY_FOLDER)).sort(), [...LIBRARY_FILES, ADDON_FILE].sort());
  assert.deepEqual(readdirSync(wheelFolder(options.environment)), [], 'the wheel is removed');
  assert.equal(readdirSync(path.dirname(runtime.directory)).length, 1, 'no temporary folder is left');

  writeFileSync(options.addon, 'newer addon');
  const offline = { ...options, environment: { ...options.environment, PATH: '' } };
  assert.deepEqual(await provideRuntime(offline), runtime);
  assert.equal(readFileSync(path.join(runtime.directory, LIBRARY_FOLDER, ADDON_FILE), 'utf8'), 'newer addon');
});

test('a library that fails its check never gets its place', async () => {
  const options = setUpOptions();
  placeWheel(options);
  writeFileSync(options.selfCheck.script, 'process.stderr.write("no such symbol\\n"); process.exit(3);');
  await assert.rejects(provideRuntime(options), withCode('engine-broken', /no such symbol/));
  assert.equal(findRuntime(options), undefined);
  assert.equal(existsSync(providedRuntimeFolder(options.environment)), false);
});

test('cancelled at any report, nothing is taken for a runtime, and the next set-up succeeds', async () => {
  for (const when of ['Fetching', 'Unpacking', 'Checking']) {
    const controller = new AbortController();
    const options = setUpOptions({ signal: controller.signal, onProgress: ({ message }) => { if (message.startsWith(when)) controller.abort(); } });
    if (when !== 'Fetching') placeWheel(options);
    await assert.rejects(provideRuntime(options), withCode('cancelled'), when);
    assert.equal(findRuntime(options), undefined, when);
    assert.deepEqual(readdirSync(path.dirname(providedRuntimeFolder(options.environment))), [], when);
  }
  const options = setUpOptions();
  placeWheel(options);
  const runtime = await provideRuntime(options);
  assert.equal(runtime.source, 'cache');
});

test('two set-ups at once end with one runtime', async () => {
  const options = setUpOptions();
  placeWheel(options);
  const [first, second] = await Promise.all([provideRuntime(options), provideRuntime(options)]);
  assert.deepEqual(first, second);
  assert.equal(readdirSync(path.dirname(first.directory)).length, 1);
});

test('a damaged runtime makes way, leftovers of dead set-ups are removed, those of a living one stay', async () => {
  const options = setUpOptions();
  placeWheel(options);
  const runtime = await provideRuntime(options);
  placeWheel(options);
  truncateSync(path.join(runtime.directory, LIBRARY_FOLDER, LIBRARY_FILES[0]), 100);
  assert.equal(findRuntime(options), undefined);
  const mark = Buffer.from(hostname()).toString('hex').slice(0, 32);
  const runtimes = path.dirname(runtime.directory);
  const dead = `.set-up-${mark}-${2 ** 22 + 1}-00000000`; // above Linux's largest pid
  const living = `.set-up-${mark}-${process.pid}-00000000`;
  for (const name of [dead, living]) mkdirSync(path.join(runtimes, name));
  assert.deepEqual(await provideRuntime(options), runtime);
  assert.deepEqual(readdirSync(runtimes).sort(), [living, path.basename(runtime.directory)].sort());
});

test('a configured folder is checked, not replaced', async () => {
  const mine = path.join(folder, 'mine');
  mkdirSync(path.join(mine, LIBRARY_FOLDER), { recursive: true });
  for (const name of [...LIBRARY_FILES, ADDON_FILE]) writeFileSync(path.join(mine, LIBRARY_FOLDER, name), 'addon');
  const options = setUpOptions({ environment: environment({ THAW_RUNTIME: mine }) });
  assert.equal((await provideRuntime(options)).directory, mine);
  assert.equal(existsSync(wheelFolder(options.environment)), false);
});

/** A package index on this machine that serves the wheels slowly, in parts when asked, and counts. */
interface SlowIndex {
  readonly url: string;
  /** `Range` headers of all requests for a wheel, '' for none. */
  readonly asked: string[];
  sent: number;
  parts: boolean;
  close(): Promise<void>;
}

const CHUNK = 64 * 1024;

async function slowIndex(files: Readonly<Record<string, Buffer>>): Promise<SlowIndex> {
  const state = { asked: [] as string[], sent: 0, parts: true };
  const server = createServer((request, response) => {
    const name = decodeURIComponent(path.posix.basename(request.url ?? ''));
    const file = Object.hasOwn(files, name) ? files[name] : undefined;
    if (file === undefined) {
      response.setHeader('Content-Type', 'text/html');
      response.end(Object.keys(files).map((each) => `<a href="/files/${each}">${each}</a>`).join('\n'));
      return;
    }
    const range = request.headers.range ?? '';
    state.asked.push(range);
    const start = state.parts ? Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0) : 0;
    response.writeHead(start > 0 ? 206 : 200, {
      'Content-Length': file.length - start, 'Content-Type': 'application/octet-stream', ...(start > 0 && { 'Content-Range': `bytes ${start}-${file.length - 1}/${file.length}` }),
    });
    const closed = new AbortController();
    response.once('close', () => { closed.abort(); });
    void (async () => {
      for (let at = start; at < file.length && !response.destroyed; at += CHUNK) {
        const part = file.subarray(at, at + CHUNK);
        const taken = response.write(part);
        state.sent += part.length;
        if (!taken) await once(response, 'drain', { signal: closed.signal }).catch(() => undefined); // `sent` is what the other end has, nearly
        await sleep(5);
      }
      response.end();
    })();
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`,
    close: () => new Promise<void>((resolve) => { server.close(() => { resolve(); }); server.closeAllConnections(); }),
  });
}

/** Two packages as a CUDA runtime has them, one with TensorFlow's libraries and one with another; 8 MB each, which don't compress. */
function twoPackages(): { files: Record<string, Buffer>; pins: RuntimePins } {
  const code = `
import os, sys, zipfile
folder, name, *files = sys.argv[1:]
with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
    for file in files:
        wheel.writestr(file, os.urandom(8_000_000 // len(files)))
    info = f"{name}-1.0.dist-info"
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;
  const made = path.join(folder, 'made');
  mkdirSync(made);
  const contents: [string, string[]][] = [
    ['thaw_test_large', LIBRARY_FILES.map((name) => `${LIBRARY_FOLDER}/${name}`)],
    ['thaw_test_companion', ['nvidia/cuda_nvcc/bin/ptxas', 'nvidia/cublas/lib/libcublas.so.12']],
  ];
  const packages = contents.map(([name, paths]): PackagePins => {
    execFileSync('python3', ['-c', code, made, name, ...paths]);
    const file = `${name}-1.0-py3-none-any.whl`;
    const content = readFileSync(path.join(made, file));
    return {
      wheel: { project: name.replaceAll('_', '-'), version: '1.0', file, sha256: createHash('sha256').update(content).digest('hex'), bytes: content.length, platforms: 'any' },
      files: paths.map((each) => ({ path: each, bytes: Math.floor(8_000_000 / paths.length), ...(each.includes('/bin/') && { executable: true }) })),
    };
  });
  return { files: Object.fromEntries(packages.map(({ wheel }) => [wheel.file, readFileSync(path.join(made, wheel.file))])), pins: { packages: packages as [PackagePins, PackagePins] } };
}

test('killed in the middle of a wheel, a set-up takes its pip with it, and the next one goes on inside the file', async () => {
  const { files, pins } = twoPackages();
  const index = await slowIndex(files);
  const options = setUpOptions({ pins, flavour: 'cuda', environment: environment({ PIP_NO_INDEX: undefined, PIP_FIND_LINKS: undefined, PIP_INDEX_URL: index.url }) });
  const script = await buildChild('setUpChild', folder);
  const wheels = wheelFolder(options.environment);
  const [first] = pins.packages;
  try {
    const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: 'ignore' });
    while (index.sent < first.wheel.bytes / 2) await sleep(5);
    child.kill('SIGKILL');
    await once(child, 'close');
    const sent = index.sent;
    await sleep(500);
    assert.ok(index.sent - sent < first.wheel.bytes / 4, 'pip has ended too');
    assert.equal(readdirSync(wheels).filter((name) => name.startsWith('.pip-')).length, 1, 'what it leaves');

    const before = index.sent;
    const runtime = await provideRuntime(options);
    assert.equal(runtime.flavour, 'cuda');
    const resumed = index.asked.map((range) => Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0)).find((start) => start > 0);
    assert.ok(resumed !== undefined && resumed > first.wheel.bytes / 4, `asked ${index.asked.join()}`);
    assert.ok(index.sent - before < 2 * first.wheel.bytes - resumed + 5 * CHUNK, 'the first wheel was not fetched anew');
    assert.deepEqual(readdirSync(wheels), [], 'nothing is left of the wheels');
    assert.equal(findRuntime({ environment: options.environment }), undefined, 'not trained on before a GPU has proved itself');
    for (const { path: file, bytes } of pins.packages.flatMap((each) => each.files)) assert.equal(statSync(path.join(runtime.directory, file)).size, bytes);
    assert.equal(statSync(path.join(runtime.directory, 'nvidia/cuda_nvcc/bin/ptxas')).mode & 0o111, 0o111);
  } finally {
    await index.close();
  }
});

test('killed again and again, wherever it is, a set-up comes to its end', async () => {
  const { files, pins } = twoPackages();
  const index = await slowIndex(files);
  const options = setUpOptions({ pins, flavour: 'cuda', environment: environment({ PIP_NO_INDEX: undefined, PIP_FIND_LINKS: undefined, PIP_INDEX_URL: index.url }) });
  const script = await buildChild('setUpChild', folder);
  try {
    // Spread over what one set-up takes (pip needs a second to start): in pip, in a wheel, between, while unpacking.
    for (const [round, delay] of [300, 1700, 2100, 1500, 900, 2600, 1900].entries()) {
      const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: 'ignore' });
      await sleep(delay);
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
      assert.equal(findRuntime({ environment: options.environment }), undefined, `round ${round}`);
    }
    const runtime = await provideRuntime(options);
    assert.deepEqual(readdirSync(path.dirname(runtime.directory)), [path.basename(runtime.directory)]);
    assert.deepEqual(readdirSync(wheelFolder(options.environment)), []);
    for (const { wheel, files: kept } of pins.packages) {
      const archive = path.join(folder, 'made', wheel.file);
      for (const file of kept) assert.ok(readFileSync(path.join(runtime.directory, file.path)).equals(execFileSync('python3', ['-c', 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))', archive, file.path], { maxBuffer: 2 ** 26 })));
    }
  } finally {
    await index.close();
  }
});

test('a part that is damaged, or a server that gives no parts, costs the download and nothing else', async () => {
  const { files, pins } = twoPackages();
  const [{ wheel }] = pins.packages;
  const index = await slowIndex(files);
  const target = path.join(folder, 'wheels');
  const options = { folder: target, environment: environment({ PIP_NO_INDEX: undefined, PIP_FIND_LINKS: undefined, PIP_INDEX_URL: index.url }) };
  const keep = (content: Buffer): void => {
    rmSync(target, { recursive: true, force: true });
    mkdirSync(target);
    writeFileSync(path.join(target, `${wheel.file}.part`), content);
    writeFileSync(path.join(target, `${wheel.file}.part.url`), index.url.replace('/simple', `/files/${wheel.file}`));
  };
  try {
    const half = files[wheel.file]!.subarray(0, wheel.bytes / 2);
    keep(Buffer.alloc(half.length, 'x'));
    assert.ok(readFileSync(await fetchWheel(wheel, options)).equals(files[wheel.file]!));
    assert.deepEqual(index.asked, [`bytes=${half.length}-`, '']);
    index.asked.length = 0;
    index.parts = false;
    keep(half);
    assert.ok(readFileSync(await fetchWheel(wheel, options)).equals(files[wheel.file]!));
    assert.equal(index.asked.at(-1), '');
    assert.deepEqual(readdirSync(target), [wheel.file]);
  } finally {
    await index.close();
  }
});

test('wheels that were fetched elsewhere are taken where they are, checked, and stay', async () => {
  const { files, pins } = twoPackages();
  const from = path.join(folder, 'made');
  const options = setUpOptions({ pins, flavour: 'cuda', from, environment: environment({ PATH: '' }) });
  const [{ wheel }, companion] = pins.packages;
  const damaged = Buffer.from(files[companion!.wheel.file]!);
  damaged[5000] = damaged[5000]! ^ 1;
  writeFileSync(path.join(from, companion!.wheel.file), damaged);
  await assert.rejects(provideRuntime(options), withCode('wheel-damaged', /its SHA-256 is another/));
  truncateSync(path.join(from, companion!.wheel.file), 5000);
  await assert.rejects(provideRuntime(options), withCode('wheel-damaged', /5000 bytes instead of/));
  rmSync(path.join(from, companion!.wheel.file));
  await assert.rejects(provideRuntime(options), (error) => withCode('wheel-not-there', /holds no thaw_test_companion/)(error) && error instanceof ThawError && /pip download .*thaw-test-companion==1\.0$/.test(error.next));
  writeFileSync(path.join(from, companion!.wheel.file), files[companion!.wheel.file]!);
  const runtime = await provideRuntime(options);
  assert.equal(runtime.flavour, 'cuda');
  assert.ok(existsSync(path.join(from, wheel.file)), 'the person\'s own file');
});

test('a disk that fills up says so, and leaves what can be gone on with', async (context) => {
  const small = path.join(folder, 'small');
  mkdirSync(small);
  const { files, pins } = twoPackages();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=30m', 'tmpfs', small], { stdio: 'ignore' });
  } catch {
    context.skip('this user may not mount a tmpfs');
    return;
  }
  try {
    const from = path.join(folder, 'made');
    const options = setUpOptions({ pins, flavour: 'cuda', from, environment: environment({ PATH: '', THAW_HOME: path.join(small, 'home') }) });
    // Said beforehand: 16 MB and the margin don't fit.
    await assert.rejects(provideRuntime(options), withCode('disk-full', /MiB free; \d+ MiB are needed/));
    // And in the middle, where somebody else fills the disk.
    execFileSync('mount', ['-o', 'remount,size=90m', small]);
    const filling = provideRuntime({ ...options, onProgress: ({ message }) => { if (message.startsWith('Unpacking') && !existsSync(path.join(small, 'more'))) writeFileSync(path.join(small, 'more'), Buffer.alloc(80_000_000)); } });
    await assert.rejects(filling, withCode('disk-full', /is full/));
    assert.deepEqual(readdirSync(path.join(small, 'home', 'runtimes')), []);
    rmSync(path.join(small, 'more'));
    assert.equal((await provideRuntime(options)).flavour, 'cuda');
    assert.ok(files[pins.packages[0].wheel.file]!.equals(readFileSync(path.join(from, pins.packages[0].wheel.file))));
  } finally {
    execFileSync('umount', [small]);
  }
});
