// Provides TensorFlow: fetched, unpacked, checked by the very binary that will train, and only then put in its place. A folder in the place
// is a whole runtime; whatever was interrupted lies in a folder of another name and is removed by the next set-up.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { cacheFolder } from '../storage/folders.js';
import { hostMark, isRunning } from '../storage/leftovers.js';
import { addonFor, placeAddon } from './addon.js';
import { LIBRARY_FOLDER, pinsFor, TENSORFLOW_VERSION, type PlatformPins } from './pins.js';
import { asStorageError, extractFromWheel, fetchWheel, requireSpace } from './pipWheel.js';
import { findRuntime, MANIFEST_FILE, providedRuntime, providedRuntimeFolder, type Runtime, type RuntimeManifest } from './runtime.js';

export interface SetUpProgress {
  /** For people: `Fetching TensorFlow 2.21.0`. */
  readonly message: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
}

/** What runs one convolution: `execPath script --self-check`. */
export interface SelfCheck {
  /** The binary that will train; VS Code's own on a desktop. */
  readonly execPath: string;
  /** `dist/trainer.js` */
  readonly script: string;
}

export interface ProvideOptions {
  /** `dist/tfjs_binding.node` */
  readonly addon: string;
  readonly selfCheck: SelfCheck;
  readonly onProgress?: (report: SetUpProgress) => void;
  readonly signal?: AbortSignal;
  readonly environment?: NodeJS.ProcessEnv;
  /** What is fetched. Default: the pins of this platform. */
  readonly pins?: PlatformPins;
}

const SELF_CHECK_LIMIT_MS = 120_000;
const STALE_AFTER_MS = 24 * 3600 * 1000;
const MARGIN_BYTES = 64 * 1024 ** 2;
const TEMPORARY = /^\.set-up-(?<host>[0-9a-f]+)-(?<pid>\d+)-[0-9a-f]+$/;

/** Where a wheel of TensorFlow waits between the build, which takes the headers out of it, and the set-up, which takes the libraries. */
export function wheelFolder(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'wheels');
}

/**
 * TensorFlow, ready to train: what is configured or in the cache, else fetched (274 MB) into the cache. Takes a second when it is there, as
 * the addon is brought up to date and one convolution is run in a child process. Two set-ups at once end with one runtime.
 * @throws ThawError of kind `engine`: what `findRuntime`, `fetchWheel` and `extractFromWheel` throw; `unsupported-platform`, `engine-broken`
 *   or `engine-wrong` when the convolution fails, `cancelled`
 */
export async function provideRuntime(options: ProvideOptions): Promise<Runtime> {
  const { signal, environment = process.env } = options;
  try {
    signal?.throwIfAborted();
    const found = findRuntime({ environment });
    if (found !== undefined) {
      await addonFor(found, environment, options.addon);
      options.onProgress?.({ message: 'Checking TensorFlow' });
      await runSelfCheck(options.selfCheck, found.directory, environment, signal);
      // What a build fetched for its headers when the runtime was there already.
      if (found.source === 'cache') await rm(path.join(wheelFolder(environment), (options.pins ?? pinsFor()).wheel.file), { force: true });
      return found;
    }
    return await install(options, environment);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    if (signal?.aborted === true) throw new ThawError('engine', 'cancelled', 'Setting up TensorFlow was cancelled', 'Set up again when you like: nothing half-finished is left', { cause: error });
    throw asStorageError(error, cacheFolder(environment)) ?? error;
  }
}

async function install({ addon, selfCheck, onProgress, signal, pins }: ProvideOptions, environment: NodeJS.ProcessEnv): Promise<Runtime> {
  const { wheel, libraries } = pins ?? pinsFor();
  if (!existsSync(addon)) {
    throw new ThawError('engine', 'addon-missing', `${addon} is missing, through which Thaw speaks to TensorFlow`, 'Install Thaw again, or build it');
  }
  const target = providedRuntimeFolder(environment);
  const runtimes = path.dirname(target);
  await mkdir(runtimes, { recursive: true });
  await removeStale(runtimes);
  const libraryBytes = libraries.reduce((sum, { bytes }) => sum + bytes, 0);
  await requireSpace(runtimes, libraryBytes + 2 * wheel.bytes + MARGIN_BYTES, 'to set TensorFlow up');
  const title = `TensorFlow ${TENSORFLOW_VERSION}`;
  const file = await fetchWheel(wheel, {
    folder: wheelFolder(environment),
    environment,
    ...(signal !== undefined && { signal }),
    onProgress: ({ doneBytes, totalBytes }) => { onProgress?.({ message: `Fetching ${title}`, doneBytes, totalBytes }); },
  });
  const temporary = path.join(runtimes, `.set-up-${hostMark()}-${process.pid}-${randomBytes(4).toString('hex')}`);
  try {
    const extracted = await extractFromWheel(
      file,
      (entry) => (libraries.some((library) => library.path === entry) ? path.join(temporary, entry) : undefined),
      {
        ...(signal !== undefined && { signal }),
        onProgress: (doneBytes) => { onProgress?.({ message: `Unpacking ${title}`, doneBytes, totalBytes: libraryBytes }); },
      },
    );
    const missing = libraries.filter((library) => !extracted.some(({ entry, bytes }) => entry === library.path && bytes === library.bytes));
    if (missing.length > 0) throw new ThawError('engine', 'wheel-damaged', `${wheel.file} holds no right ${missing.map((library) => library.path).join(', ')}`, 'Report it: the pinned package is not what it was');
    await placeAddon(addon, path.join(temporary, LIBRARY_FOLDER));
    onProgress?.({ message: `Checking ${title}` });
    await runSelfCheck(selfCheck, temporary, environment, signal);
    const manifest: RuntimeManifest = {
      schemaVersion: 1,
      tensorflow: TENSORFLOW_VERSION,
      flavour: 'cpu',
      wheel: { file: wheel.file, sha256: wheel.sha256 },
      files: extracted.map(({ entry, bytes, sha256 }) => ({ path: entry, bytes, sha256 })),
    };
    await writeFileAtomic(path.join(temporary, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
    signal?.throwIfAborted();
    await moveIntoPlace(temporary, target);
  } catch (error) {
    // Another set-up was first and has removed the wheel meanwhile.
    const other = (error as NodeJS.ErrnoException).code === 'ENOENT' ? providedRuntime(target) : undefined;
    if (other === undefined) throw error;
    return other;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  await rm(file, { force: true });
  const runtime = providedRuntime(target);
  if (runtime === undefined) throw new ThawError('engine', 'engine-broken', `TensorFlow in ${target} was changed while it was set up`, 'Set up again');
  return runtime;
}

/** Renames a finished runtime to its name. Another set-up may have been first: then its runtime stays. A damaged one makes way. */
async function moveIntoPlace(finished: string, target: string): Promise<void> {
  for (;;) {
    try {
      await rename(finished, target);
      await syncFolder(path.dirname(target));
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EPERM') throw error;
      if (providedRuntime(target) !== undefined) return;
      const aside = `${finished}.damaged`;
      await rename(target, aside).catch((cause: unknown) => {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      });
      await rm(aside, { recursive: true, force: true });
    }
  }
}

/** Removes what set-ups left that were interrupted: by a process of this host that is gone, or a day ago. */
async function removeStale(runtimes: string): Promise<void> {
  for (const name of await readdir(runtimes)) {
    if (!name.startsWith('.set-up-')) continue;
    const folder = path.join(runtimes, name);
    const owner = TEMPORARY.exec(name)?.groups;
    const gone = owner?.['host'] === hostMark() && !isRunning(Number(owner['pid']));
    const old = await stat(folder).then(({ mtimeMs }) => Date.now() - mtimeMs > STALE_AFTER_MS, () => false); // removed meanwhile by another set-up
    if (gone || old) await rm(folder, { recursive: true, force: true });
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Runs `execPath script --self-check` on a runtime folder: the binary that will train loads that library and computes one convolution.
 * @throws ThawError `engine-broken` with the child's own words, `cancelled`
 */
export async function runSelfCheck({ execPath, script }: SelfCheck, runtime: string, environment: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<void> {
  const child = spawn(execPath, [script, '--self-check'], {
    cwd: runtime,
    env: {
      ...Object.fromEntries(Object.entries(environment).filter(([name]) => !/^(?:NODE_|VSCODE_|ELECTRON_)/.test(name))),
      THAW_RUNTIME: runtime,
      ...('electron' in process.versions && { ELECTRON_RUN_AS_NODE: '1' }), // else a second editor would open
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: SELF_CHECK_LIMIT_MS,
    killSignal: 'SIGKILL',
    windowsHide: true,
    ...(signal !== undefined && { signal }),
  });
  let output = '';
  const gather = (chunk: Buffer): void => { output = (output + chunk.toString('utf8')).slice(-8192); };
  child.stdout.on('data', gather);
  child.stderr.on('data', gather);
  const ended = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, killedBy) => { resolve(code ?? killedBy); });
  });
  if (ended === 0) return;
  if (ended === 'SIGILL') {
    throw new ThawError('engine', 'engine-broken', 'This processor lacks instructions that TensorFlow is built with (AVX)', 'Use a machine with a newer x86-64 processor, or a virtual machine that passes AVX through');
  }
  const words = output.trim().split('\n').at(-1)?.trim() ?? '';
  throw new ThawError(
    'engine',
    'engine-broken',
    ended === 'SIGKILL' ? `TensorFlow did not pass its check: it was ended, or took more than ${SELF_CHECK_LIMIT_MS / 1000} s` : `TensorFlow did not pass its check (${ended}): ${words.replace(/\.+$/, '')}`,
    'Set up again; if it stays, report it with this message',
    { cause: new Error(output) },
  );
}
