// `thaw clear-cache`: removes cached pixels and features; the engine, the weights and all runs stay.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ContentCache } from '../../dataset/contentCache.js';
import { formatBytes } from '../../metrics/format.js';
import { EXIT } from '../../protocol/errors.js';
import { cacheFolder } from '../../storage/folders.js';
import { cacheCapBytes } from '../environment.js';
import { printJson, type Command } from './command.js';

export const clearCacheCommand: Command = async (args) => {
  const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
  const cache = new ContentCache({ folder: path.join(cacheFolder(), 'images'), capBytes: cacheCapBytes(process.env) });
  const freedBytes = await cache.size();
  await cache.clear();
  if (values.json) printJson({ type: 'result', freedBytes });
  else process.stdout.write(`Removed ${formatBytes(freedBytes)} of cached pixels and features\n`);
  return EXIT.done;
};
