// The program that Thaw's scripts run under. In a desktop it is the editor's own, Electron, as a Node; where that can't load TensorFlow, a Node of
// this machine takes its place, or the one that PyPI has. Which passed the check is remembered for each editor and each of its Electrons.
import { accessSync, constants, readFileSync, realpathSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import * as v from 'valibot';
import { ThawError } from '../protocol/errors.js';
import { writeFileAtomic } from '../storage/atomicFile.js';
import { cacheFolder } from '../storage/folders.js';
import { NODE_PINS } from './pins.js';
import { findRuntime } from './runtime.js';

/** The process that asks: an editor's extension host, or a program of Thaw's that it has started. */
export interface Host {
  readonly execPath: string;
  /** Electron's version; undefined under Node. */
  readonly electron: string | undefined;
}

/** What a script of Thaw's is started with. */
export interface Program {
  readonly execPath: string;
  /** Whether it runs a script only where `ELECTRON_RUN_AS_NODE` is set. */
  readonly electron: boolean;
  /** Whether it is known to load TensorFlow; of Electron only a set-up knows. */
  readonly checked: boolean;
}

/** What a program was seen to load, beside its own version: with another addon, or another TensorFlow, it is to be seen again. */
export interface Loaded {
  /** `dist/trainer.js`, beside the addon; each version of Thaw lies in a folder of its own. */
  readonly script: string;
  /** The runtime's folder. */
  readonly runtime: string;
}

const recordSchema = v.object({ electron: v.string(), script: v.string(), runtime: v.string(), execPath: v.string() });
const programsSchema = v.record(v.string(), recordSchema);
type Programs = v.InferOutput<typeof programsSchema>;

/** Which process this is. */
export function thisHost(): Host {
  return { execPath: process.execPath, electron: process.versions['electron'] };
}

/** What Thaw's scripts are to be started with from a host: a look at a small file, and at which runtime there is. */
export function programFor({ execPath, electron }: Host, script: string, environment: NodeJS.ProcessEnv): Program {
  if (electron === undefined) return { execPath, electron: false, checked: true };
  const known = readPrograms(environment)[execPath];
  const holds = known?.electron === electron && known.script === realPath(script) && known.runtime === runtimeFolder(environment) && isExecutable(known.execPath);
  if (known === undefined || !holds) return { execPath, electron: true, checked: false };
  return { execPath: known.execPath, electron: known.execPath === execPath, checked: true };
}

/** A script knows itself by its real path, an editor by the one through its links. */
function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return file; // not there: nothing was seen with it
  }
}

function runtimeFolder(environment: NodeJS.ProcessEnv): string | undefined {
  try {
    return findRuntime({ environment })?.directory;
  } catch (error) {
    if (error instanceof ThawError) return undefined; // whoever trains says so
    throw error;
  }
}

/** Remembers which program has loaded TensorFlow for this host. Nothing is remembered for a host that is a Node. */
export async function rememberProgram({ execPath, electron }: Host, passed: string, { script, runtime }: Loaded, environment: NodeJS.ProcessEnv): Promise<void> {
  if (electron === undefined) return;
  const others = Object.entries(readPrograms(environment)).filter(([host]) => isExecutable(host)); // editors that are gone are forgotten
  const programs: Programs = { ...Object.fromEntries(others), [execPath]: { electron, script: realPath(script), runtime, execPath: passed } };
  await mkdir(path.dirname(programsFile(environment)), { recursive: true });
  await writeFileAtomic(programsFile(environment), `${JSON.stringify(programs, null, 2)}\n`);
}

function programsFile(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'runtimes', 'programs.json');
}

function readPrograms(environment: NodeJS.ProcessEnv): Programs {
  try {
    const read = v.safeParse(programsSchema, JSON.parse(readFileSync(programsFile(environment), 'utf8')));
    return read.success ? read.output : {};
  } catch {
    return {}; // not there, or damaged: the next set-up looks anew
  }
}

/** Where PyPI's Node lies once it was fetched. */
export function providedNodeFolder(environment: NodeJS.ProcessEnv): string {
  return path.join(cacheFolder(environment), 'runtimes', `node-${NODE_PINS.wheel.version}`);
}

/** Whether it is a file that may be run. */
export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
