// The editor's own program may not be able to load TensorFlow: a stand-in for a desktop's Electron, which runs a script as Node only when told so
// and can be made to fail the check, sets up with a Node of this machine, and trains by it.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { NODE_PINS } from '../../src/engine/pins.js';
import { programFor, type Host, type Program } from '../../src/engine/program.js';
import { findRuntime } from '../../src/engine/runtime.js';
import { cacheFolder } from '../../src/storage/folders.js';
import { jsonLines, temporaryFolder } from './thaw.js';

const CLI = path.resolve('dist/cli.js');
const TRAINER = path.resolve('dist/trainer.js');
const NODE = realpathSync(process.execPath);

interface Desktop {
  readonly folder: string;
  readonly host: Host & { readonly electron: string };
  readonly environment: NodeJS.ProcessEnv;
  /** `thaw` under Electron, to its end: its lines. */
  readonly setUp: (changes?: NodeJS.ProcessEnv, ...options: readonly string[]) => { readonly code: number | null; readonly lines: readonly Record<string, unknown>[]; readonly text: string };
}

/** A cache without TensorFlow, which is another folder's, and a PATH on which there is `node`, or none. */
function desktop(context: TestContext, { canLoad, nodeOnPath = true }: { readonly canLoad: boolean; readonly nodeOnPath?: boolean }): Desktop {
  const folder = temporaryFolder(context);
  const file = (name: string, text: string): string => {
    const created = path.join(folder, name);
    writeFileSync(created, text, { mode: 0o755 });
    return created;
  };
  const execPath = path.join(folder, 'code');
  const preload = file('electron.cjs', `Object.defineProperty(process, 'versions', { value: { ...process.versions, electron: '37.2.3' } });\nprocess.execPath = ${JSON.stringify(execPath)};\n`);
  file('code', `#!/bin/sh
[ "$ELECTRON_RUN_AS_NODE" = 1 ] || { echo "a second editor" >&2; exit 9; }
${canLoad ? '' : 'case "$*" in *--self-check*) echo "the addon needs memory outside of the cage" >&2; exit 1;; esac'}
exec ${NODE} --require ${preload} "$@"
`);
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim(), path.join(bin, 'python3'));
  if (nodeOnPath) symlinkSync(NODE, path.join(bin, 'node'));
  const home = path.join(folder, 'home');
  mkdirSync(home);
  symlinkSync(path.join(cacheFolder(), 'weights'), path.join(home, 'weights'));
  const runtime = findRuntime({ environment: process.env });
  assert.ok(runtime);
  const environment = { ...process.env, PATH: bin, THAW_HOME: home, THAW_RUNTIME: runtime.directory };
  return {
    folder, environment, host: { execPath, electron: '37.2.3' },
    setUp: (changes = {}, ...options) => {
      const { status, stdout, stderr } = spawnSync(execPath, [CLI, 'setup', '--json', ...options], { env: { ...environment, ...changes, ELECTRON_RUN_AS_NODE: '1' }, encoding: 'utf8' });
      return { code: status, lines: jsonLines(stdout), text: stdout + stderr };
    },
  };
}

/** What the editor starts Thaw's scripts with. */
function program({ host, environment }: Desktop, changes: { readonly host?: Partial<Host>; readonly script?: string; readonly environment?: NodeJS.ProcessEnv } = {}): Program {
  return programFor({ ...host, ...changes.host }, changes.script ?? TRAINER, { ...environment, ...changes.environment });
}

test('an Electron that loads TensorFlow trains by itself, until it, Thaw or TensorFlow is another', (context) => {
  const made = desktop(context, { canLoad: true });
  const { execPath } = made.host;
  assert.deepEqual(program(made), { execPath, electron: true, checked: false });
  const { code, text } = made.setUp();
  assert.equal(code, 0, text);
  assert.deepEqual(program(made), { execPath, electron: true, checked: true });
  assert.equal(program(made, { host: { electron: '38.0.0' } }).checked, false);
  assert.equal(program(made, { host: { execPath: '/usr/bin/another-editor' } }).checked, false);
  assert.equal(program(made, { script: '/extensions/thaw-9.9.9/dist/trainer.js' }).checked, false);
  symlinkSync(path.dirname(TRAINER), path.join(made.folder, 'linked'));
  assert.equal(program(made, { script: path.join(made.folder, 'linked', 'trainer.js') }).checked, true);
  assert.equal(program(made, { environment: { THAW_RUNTIME: '/nowhere' } }).checked, false);
  assert.deepEqual(programFor({ execPath: NODE, electron: undefined }, TRAINER, made.environment), { execPath: NODE, electron: false, checked: true });
});

test('where it can\'t, the Node on PATH takes its place, and is given up when it goes', (context) => {
  const made = desktop(context, { canLoad: false });
  const { folder, host, environment } = made;
  // A PATH as people have it: a relative folder, one that isn't there, something that is no Node, one that is too old.
  for (const [name, script] of [['none', 'exit 1'], ['old', `printf '/usr/bin/node\\n18.20.0\\n${process.arch}\\n'`]] as const) {
    mkdirSync(path.join(folder, name));
    writeFileSync(path.join(folder, name, 'node'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  const { code, lines, text } = made.setUp({ PATH: ['bin', '', '/nowhere', path.join(folder, 'none'), path.join(folder, 'old'), environment['PATH']].join(path.delimiter) });
  assert.equal(code, 0, text);
  assert.ok(lines.some(({ message }) => message === `The editor's own program can't load TensorFlow; trying Node, ${NODE}`), text);
  assert.deepEqual(program(made), { execPath: NODE, electron: false, checked: true });
  const programs = path.join(environment['THAW_HOME'] ?? '', 'runtimes', 'programs.json');
  writeFileSync(programs, readFileSync(programs, 'utf8').replace(NODE, path.join(folder, 'uninstalled')));
  assert.deepEqual(program(made), { execPath: host.execPath, electron: true, checked: false });
  writeFileSync(programs, '{"damaged');
  assert.equal(program(made).checked, false);
});

test('where there is none, one is fetched once it may be, and never again', { timeout: 300_000 }, (context) => {
  const made = desktop(context, { canLoad: false, nodeOnPath: false });
  const { environment } = made;
  const refused = made.setUp();
  assert.equal(refused.code, 3, refused.text);
  assert.equal(refused.lines.at(-1)?.['code'], 'editor-cannot-load');
  assert.match(String(refused.lines.at(-1)?.['message']), /outside of the cage/); // why the editor's own can't
  assert.match(String(refused.lines.at(-1)?.['next']), /58\.3 MiB/);
  assert.deepEqual(program(made).checked, false);

  const { code, text } = made.setUp({}, '--fetch-node');
  assert.equal(code, 0, text);
  const { execPath } = program(made);
  assert.equal(execPath, path.join(environment['THAW_HOME'] ?? '', 'runtimes', `node-${NODE_PINS.wheel.version}`, 'node'));
  assert.equal(execFileSync(execPath, ['--version'], { encoding: 'utf8' }).trim(), `v${NODE_PINS.wheel.version}`);
  const doctor = spawnSync(execPath, [CLI, 'doctor', '--json'], { env: environment, encoding: 'utf8' });
  assert.equal(doctor.status, 0, doctor.stdout);
  assert.ok(doctor.stdout.includes(NODE_PINS.wheel.version));
  const again = made.setUp({ PIP_NO_INDEX: '1' });
  assert.equal(again.code, 0, again.text);
});

test('a TensorFlow that is broken under every program says so, and remembers none', (context) => {
  const made = desktop(context, { canLoad: true });
  const broken = path.join(made.folder, 'broken');
  mkdirSync(path.join(broken, 'tensorflow'), { recursive: true });
  for (const name of ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']) writeFileSync(path.join(broken, 'tensorflow', name), 'no library');
  const failed = made.setUp({ THAW_RUNTIME: broken, PIP_NO_INDEX: '1' });
  assert.equal(failed.code, 3, failed.text);
  assert.equal(failed.lines.at(-1)?.['code'], 'engine-broken'); // not that a Node would help
  assert.match(String(failed.lines.at(-1)?.['message']), /did not pass its check/);
  assert.equal(program(made, { environment: { THAW_RUNTIME: broken } }).checked, false);
});
