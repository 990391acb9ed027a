// Starts a trainer that outlives whoever started it.
import { spawn, type SpawnOptions } from 'node:child_process';
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { assertWritableFolders, defaultWithin, GUARDED, isCode, UnsafePath, unsafePathError } from './guardedFiles.js';
import { isLiveState, trainersOf } from './liveness.js';
import { newNonce } from './processIdentity.js';
import { isUnreadable, readRun } from './readRun.js';
import { recordText } from './runFolder.js';

/**
 * What a child of ours may know of the environment: where programs and the person's folders are, language and time, our own settings, which
 * GPUs may be seen, and what set-up needs to reach a package registry. Not `NODE_OPTIONS` or `VSCODE_*`, which are the editor's; not
 * `LD_PRELOAD` or `LD_LIBRARY_PATH`, which editors and terminals set for libraries of their own: ours are found by rpath, the driver by ldconfig.
 */
const ALLOWED = new Set([
  'PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LANGUAGE', 'TZ', 'TMPDIR', 'TEMP', 'TMP',
  'VIRTUAL_ENV', 'CONDA_PREFIX', // named by the doctor, where they hold a TensorFlow
  'CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER', 'NVIDIA_VISIBLE_DEVICES', 'NVIDIA_DRIVER_CAPABILITIES',
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy',
  'SSL_CERT_FILE', 'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS',
  'PIP_INDEX_URL', 'PIP_EXTRA_INDEX_URL', 'PIP_FIND_LINKS', 'PIP_NO_INDEX', 'PIP_TRUSTED_HOST', 'PIP_CERT', 'PIP_PROXY', 'PIP_CONFIG_FILE',
  'SystemRoot', 'SYSTEMROOT', 'PATHEXT', 'COMSPEC', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA',
]);
const ALLOWED_PREFIXES = ['LC_', 'XDG_', 'THAW_'];

/** The environment of a child that runs one of our scripts under `process.execPath`. */
export function childEnvironment(environment: NodeJS.ProcessEnv, options: { readonly electron: boolean }): NodeJS.ProcessEnv {
  const allowed = Object.entries(environment).filter(([name, value]) => value !== undefined && (ALLOWED.has(name) || ALLOWED_PREFIXES.some((prefix) => name.startsWith(prefix))));
  // Without it Electron's binary opens a second editor.
  return { ...Object.fromEntries(allowed), ...(options.electron && { ELECTRON_RUN_AS_NODE: '1' }) };
}

export interface TrainerSpawn {
  readonly command: string;
  readonly args: readonly string[];
  readonly options: SpawnOptions;
}

/** How a trainer is spawned: detached, no pipe, no IPC, its output in `logDescriptor`, so that nothing of it depends on its parent. */
export function trainerSpawn(options: {
  /** Node, or the desktop's Electron. */
  readonly execPath: string;
  readonly trainerScript: string;
  readonly runDirectory: string;
  /** What the folder is: a run, or a study. */
  readonly job?: 'run' | 'study';
  readonly nonce: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly electron: boolean;
  readonly logDescriptor: number;
}): TrainerSpawn {
  const { execPath, trainerScript, runDirectory, job = 'run', nonce, environment, electron, logDescriptor } = options;
  return {
    command: execPath,
    args: [trainerScript, `--${job}`, runDirectory, '--nonce', nonce],
    options: {
      cwd: runDirectory,
      env: childEnvironment(environment, { electron }),
      detached: true,
      stdio: ['ignore', logDescriptor, logDescriptor],
      windowsHide: true,
      shell: false,
    },
  };
}

export interface LaunchOptions {
  readonly runDirectory: string;
  /** Absolute path of dist/trainer.js. */
  readonly trainerScript: string;
  readonly within?: string | undefined;
  readonly execPath?: string;
  readonly electron?: boolean;
  readonly environment?: NodeJS.ProcessEnv;
}

/**
 * Starts the trainer of a new run folder and lets go of it. Resolves once the process exists.
 * @throws ThawError `trainer-not-started`, after the run was marked failed; `unsafe-path`
 */
export async function launchTrainer(options: LaunchOptions): Promise<{ readonly pid: number; readonly nonce: string }> {
  const directory = path.resolve(options.runDirectory);
  const within = options.within ?? defaultWithin(directory);
  return launchDetached('run', directory, within, options, ({ message, next }) => markFailed(directory, within, message, next));
}

/**
 * Starts the trainer on a run or a study folder and lets go of it; its output goes to `trainer.log` there.
 * @param onFailure told before the error is thrown
 * @throws ThawError `trainer-not-started`, `unsafe-path`
 */
export async function launchDetached(
  job: 'run' | 'study', directory: string, within: string, options: Pick<LaunchOptions, 'trainerScript' | 'execPath' | 'electron' | 'environment'>,
  onFailure: (failure: { readonly message: string; readonly next: string }) => Promise<void>,
): Promise<{ readonly pid: number; readonly nonce: string }> {
  const { trainerScript, execPath = process.execPath, environment = process.env, electron = process.versions['electron'] !== undefined } = options;
  assertWritableFolders(directory, within);
  const nonce = newNonce();
  const log = openLog(path.join(directory, 'trainer.log'));
  try {
    const { command, args, options: spawnOptions } = trainerSpawn({ execPath, trainerScript, runDirectory: directory, job, nonce, environment, electron, logDescriptor: log });
    return await new Promise((resolve, reject) => {
      const child = spawn(command, args, spawnOptions);
      child.once('error', reject);
      child.once('spawn', () => {
        child.unref();
        if (child.pid !== undefined) resolve({ pid: child.pid, nonce });
      });
    });
  } catch (error) {
    const message = `The trainer could not be started: ${error instanceof Error ? error.message : String(error)}`;
    const next = 'Check that the editor and Thaw are installed whole, then train again';
    await onFailure({ message, next });
    throw new ThawError('run', 'trainer-not-started', message, next, { cause: error });
  } finally {
    closeSync(log);
  }
}

async function markFailed(directory: string, within: string, message: string, next: string): Promise<void> {
  const run = await readRun(directory, { within });
  if (isUnreadable(run) || !isLiveState(run.state)) return;
  const real = assertWritableFolders(directory, within);
  if (trainersOf(real).some(({ liveness }) => liveness !== 'dead')) return; // somebody else's to write
  await writeFileAtomic(path.join(real, 'run.json'), recordText({
    ...run.record, state: 'failed', endedAt: new Date().toISOString(), failure: { code: 'trainer-not-started', message: message.slice(0, 4000), next },
  }));
}

function openLog(file: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | GUARDED, 0o666);
  } catch (error) {
    if (isCode(error, 'ELOOP')) throw unsafePathError(file, new UnsafePath('it is a link'));
    throw error;
  }
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw unsafePathError(file, new UnsafePath('it is no file'));
}
