// What the committed results of a benchmark were made on: the images, and the machine.
import { createHash } from 'node:crypto';
import os from 'node:os';
import { hashImages } from '../src/dataset/hashing.js';
import { listDataset } from '../src/dataset/listing.js';

/** Names the images of a dataset folder by their paths and contents, wherever the folder lies. @throws ThawError as `listDataset` */
export async function contentOf(folder: string): Promise<string> {
  const hashes = await hashImages(await listDataset(folder), { splitSeed: 0 });
  return createHash('sha256').update([...hashes].map(([file, { sha256 }]) => `${file} ${sha256}`).join('\n')).digest('hex');
}

/** `AMD EPYC, 2 cores` */
export function machineName(): string {
  return `${os.cpus()[0]?.model ?? 'an unknown processor'}, ${String(os.availableParallelism())} cores`;
}
