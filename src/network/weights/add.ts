// Takes a file of weights into the per-user cache: the catalogue's own, brought by another way than the network, or a person's.
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { asStorageError } from '../../engine/pipWheel.js';
import { ThawError } from '../../protocol/errors.js';
import { BACKBONES, type BackboneName } from '../../protocol/run.js';
import { writeFileAtomic } from '../../storage/atomicFile.js';
import { IMAGENET_CLASSES, ownWeightsPaths, weightsFolder, type OwnWeights } from './cache.js';
import { isContentOf, WEIGHTS } from './catalogue.js';
import { recogniseWeights } from './recognise.js';
import { readWeightsFile } from './weightsFile.js';

export interface AddedWeights {
  /** By which they are trained on: a backbone's for the published weights, else the backbone's with digits of the hash. */
  readonly name: string;
  readonly backbone: BackboneName;
  readonly classes: number;
  readonly sha256: string;
  /** Whether they are a person's own, and not the catalogue's. */
  readonly own: boolean;
}

/** A ResNet50 in float64 with its optimizer's two moments is 0.6 GB. */
const LARGEST_FILE = 1024 ** 3;

/**
 * Adds a PyTorch checkpoint or a safetensors file. The file is read as what it may be, hostile, and copied as it is.
 * @throws ThawError `no-such-file`, `too-large`, `weights-damaged`, `bad-checkpoint`, or what `recogniseWeights` says
 */
export async function addWeights(file: string, environment: NodeJS.ProcessEnv = process.env): Promise<AddedWeights> {
  const content = await readBounded(file);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const published = BACKBONES.find((backbone) => isContentOf(WEIGHTS[backbone], { sha256, bytes: content.length }));
  if (published !== undefined) {
    await put(path.join(weightsFolder(environment), WEIGHTS[published].file), content);
    return { name: published, backbone: published, classes: IMAGENET_CLASSES, sha256, own: false };
  }
  const from = path.basename(file);
  if (BACKBONES.some((backbone) => WEIGHTS[backbone].file === from)) {
    throw new ThawError('input', 'weights-damaged', `${from} has the name of published weights and another content`, 'Fetch it again; if these are your own weights, give the file another name');
  }
  const { backbone, classes } = recogniseWeights(await readWeightsFile(content));
  const name = `${backbone}-${sha256.slice(0, 8)}`;
  const paths = ownWeightsPaths(name, environment);
  const own: OwnWeights = { schemaVersion: 1, name, backbone, classes, sha256, bytes: content.length, from: from.slice(0, 255), addedAt: new Date().toISOString() };
  await put(paths.content, content);
  await put(paths.description, `${JSON.stringify(own, undefined, 2)}\n`); // last: what has no description isn't there
  return { name, backbone, classes, sha256, own: true };
}

async function readBounded(file: string): Promise<Buffer> {
  try {
    const about = await stat(file);
    if (!about.isFile()) throw new ThawError('input', 'no-such-file', `${file} is no file`, 'Give a PyTorch checkpoint (.pth) or a .safetensors file');
    if (about.size > LARGEST_FILE) throw new ThawError('input', 'too-large', `${file} is larger than 1 GiB, which weights of these networks never are`, 'Save the state dict alone');
    return await readFile(file);
  } catch (error) {
    if (error instanceof ThawError) throw error;
    throw new ThawError('input', 'no-such-file', `${file} can't be read: ${error instanceof Error ? error.message : String(error)}`, 'Give a PyTorch checkpoint (.pth) or a .safetensors file', { cause: error });
  }
}

async function put(file: string, content: string | Uint8Array): Promise<void> {
  const folder = path.dirname(file);
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(file, content);
  } catch (error) {
    throw asStorageError(error, folder) ?? error;
  }
}
