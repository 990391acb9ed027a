// Nodes that could run Thaw's scripts where a desktop's own program, Electron, can't load TensorFlow: those on PATH, or PyPI's.
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { ThawError } from '../protocol/errors.js';
import { cacheFolder } from '../storage/folders.js';
import { ownedName, removeAbandoned } from '../storage/leftovers.js';
import { NODE_PINS, thisPlatform } from './pins.js';
import { extractFromWheel, fetchWheel, removePartial, requireSpace } from './pipWheel.js';
import { isExecutable, providedNodeFolder } from './program.js';
import { wheelFolder, type SetUpProgress } from './provide.js';

const OLDEST_NODE = 20;
const ASK_LIMIT_MS = 10_000;
const WORK_PREFIX = '.node-';

export interface OtherNodesOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Whether PyPI's may be fetched, 61 MB, where none on PATH will do. */
  readonly fetch: boolean;
  /** A folder with wheels that were fetched elsewhere. */
  readonly from?: string | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: (report: SetUpProgress) => void;
}

/** Whether there is a Node to be fetched for this machine. */
export function canFetchNode(): boolean {
  return thisPlatform() === 'linux-x64';
}

/**
 * The Nodes that could run Thaw's scripts: those on PATH, then one that was fetched before, or is fetched now if it may be.
 * @throws ThawError of kind `engine`: what `fetchWheel` and `extractFromWheel` throw
 */
export async function* otherNodes(options: OtherNodesOptions): AsyncGenerator<string> {
  const seen = new Set<string>();
  await mkdir(cacheFolder(options.environment), { recursive: true }); // where they are asked: a shim may look around
  for (const folder of (options.environment['PATH'] ?? '').split(path.delimiter)) {
    if (!path.isAbsolute(folder)) continue; // it would depend on the working directory
    const node = await askNode(path.join(folder, 'node'), options.environment);
    if (node === undefined || seen.has(node)) continue;
    seen.add(node);
    yield node;
  }
  const fetched = path.join(providedNodeFolder(options.environment), 'node');
  if (isProvided(fetched)) yield fetched;
  else if (options.fetch && canFetchNode()) yield await provideNode(options);
}

/** Where a Node's binary really is, behind shims and links; undefined where there is none, or one that is too old or for another processor. */
async function askNode(file: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (!isExecutable(file)) return undefined;
  const { PATH, HOME } = environment;
  const said = await new Promise<string | undefined>((resolve) => {
    execFile(file, ['-p', '[process.execPath, process.versions.node, process.arch].join("\\n")'], { cwd: cacheFolder(environment), env: { PATH, HOME }, timeout: ASK_LIMIT_MS, killSignal: 'SIGKILL' },
      (error, stdout) => { resolve(error === null ? stdout : undefined); }); // what doesn't answer is no Node
  });
  const [execPath, version, arch] = said?.trim().split('\n') ?? [];
  if (execPath === undefined || !path.isAbsolute(execPath) || arch !== process.arch || Number(version?.split('.')[0]) < OLDEST_NODE) return undefined;
  return isExecutable(execPath) ? execPath : undefined;
}

/** PyPI's Node, fetched into the cache. */
async function provideNode({ environment, from, signal, onProgress }: OtherNodesOptions): Promise<string> {
  const { wheel, files: [binary] } = NODE_PINS;
  if (binary === undefined) throw new Error('no file of Node is pinned');
  const folder = providedNodeFolder(environment);
  const runtimes = path.dirname(folder);
  const node = path.join(folder, 'node');
  await mkdir(runtimes, { recursive: true });
  await removeAbandoned(runtimes, WORK_PREFIX);
  await requireSpace(runtimes, binary.bytes, 'to set Node up');
  const message = `Fetching Node ${wheel.version}`;
  const file = await fetchWheel(wheel, {
    folder: wheelFolder(environment), environment, from, ...(signal !== undefined && { signal }),
    onProgress: ({ doneBytes, totalBytes }) => { onProgress?.({ message, doneBytes, totalBytes }); },
  });
  const temporary = path.join(runtimes, ownedName(WORK_PREFIX));
  try {
    const extracted = await extractFromWheel(file, (entry) => (entry === binary.path ? path.join(temporary, 'node') : undefined), { ...(signal !== undefined && { signal }) });
    if (extracted[0]?.bytes !== binary.bytes) throw new ThawError('engine', 'wheel-damaged', `${wheel.file} holds no right ${binary.path}`, 'Report it: the pinned package is not what it was');
    await chmod(path.join(temporary, 'node'), 0o755);
    if (isProvided(node)) return node; // another set-up was first, and may be running it
    await rm(folder, { recursive: true, force: true }); // a damaged one makes way
    await rename(temporary, folder);
  } catch (error) {
    if (isProvided(node)) return node; // another was first, and has put away what this one was reading
    throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  if (from === undefined) {
    await rm(file, { force: true });
    await removePartial(wheelFolder(environment), wheel);
  }
  return node;
}

/** Whether it is whole. */
function isProvided(node: string): boolean {
  return isExecutable(node) && statSync(node).size === NODE_PINS.files[0]?.bytes;
}
